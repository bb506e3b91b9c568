"""Room on the disk: asked for before anything is written, and watched while it is."""

from __future__ import annotations

import shutil
from pathlib import Path

from surgeproof.errors import EnvironmentNotReadyError

__all__ = ["LEAST_FREE_BYTES", "LEAST_LEFT_BYTES", "free_bytes", "require_space"]

# Samples, logs and the report of some minutes need a few MB; a database of its own some more.
LEAST_FREE_BYTES = 256 * 2**20
# A run that is ended with so much left can still write its result and report (about 5 MB).
LEAST_LEFT_BYTES = 32 * 2**20


def free_bytes(folder: Path) -> int:
    """Return what is free where ``folder`` is, or would be made."""
    path = folder.absolute()
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return shutil.disk_usage(existing).free


def require_space(folder: Path, least_bytes: int = LEAST_FREE_BYTES) -> None:
    """Refuse to go on where the disk is full, or soon will be.

    Raises:
        EnvironmentNotReadyError: less than ``least_bytes`` are free.
    """
    free = free_bytes(folder)
    if free < least_bytes:
        raise EnvironmentNotReadyError(
            f"the disk is full: {free / 2**20:.0f} MiB are free for {folder}; "
            f"accepted: {least_bytes / 2**20:.0f} MiB or more"
        )
