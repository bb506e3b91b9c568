"""Folders outside the checkout: what is kept between runs, and what one run throws away."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from surgeproof.errors import EnvironmentNotReadyError

__all__ = ["Scratch", "cache_root"]

_REMOVAL_TRIES = 10
_REMOVAL_PAUSE_S = 0.05


def cache_root(environ: Mapping[str, str], uid: int) -> Path:
    """Return the folder that outlives runs; it may not exist yet.

    Root's is not in its home, for there the unprivileged user of a database could not reach it.
    """
    if uid == 0:
        return Path("/var/tmp/surgeproof-0")  # noqa: S108  (owner and mode are checked on use)
    base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", "~")).expanduser())
    return Path(base) / ("surgeproof" if environ.get("XDG_CACHE_HOME") else ".cache/surgeproof")


class Scratch:
    """One stack's own folder under the cache, removed with everything in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, root: Path) -> Scratch:
        """Make the folder, and remove those whose owner is dead.

        Raises:
            EnvironmentNotReadyError: the cache is not writable, or belongs to somebody else.
        """
        make_private_folder(root)
        runs = root / "runs"
        make_private_folder(runs)
        for old in runs.iterdir():
            if not _owner_lives(old.name):
                shutil.rmtree(old, ignore_errors=True)
        path = runs / f"{_identity(os.getpid())}-{secrets.token_hex(4)}"
        make_private_folder(path)
        return cls(path)

    def folder(self, name: str) -> Path:
        """Return the subfolder ``name``, made where it is missing."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
        return path

    def remove(self, sleep: Callable[[float], None]) -> None:
        """Remove all of it; a dying server's last writes are waited for, briefly."""
        for _ in range(_REMOVAL_TRIES):
            shutil.rmtree(self.path, ignore_errors=True)
            if not self.path.exists():
                return
            sleep(_REMOVAL_PAUSE_S)


def make_private_folder(path: Path) -> None:
    """Make ``path`` so that only we write in it and everybody may pass.

    Raises:
        EnvironmentNotReadyError: it cannot be made, or is another user's.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise EnvironmentNotReadyError(f"{path} is no folder of ours: remove it and try again")
        path.chmod(0o755)
    except OSError as error:
        raise EnvironmentNotReadyError(f"cannot make {path}: {error.strerror}") from error


def _identity(pid: int) -> str:
    # With its start time a pid cannot be mistaken for a later process that got the same number.
    return f"{pid}-{int(psutil.Process(pid).create_time() * 100)}"


def _owner_lives(name: str) -> bool:
    pid, _, _ = name.partition("-")
    try:
        return name.startswith(_identity(int(pid)) + "-")
    except (ValueError, psutil.Error):
        return False
