"""Room on the disk, asked for before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from surgeproof.errors import EnvironmentNotReadyError

__all__ = ["LEAST_FREE_BYTES", "free_bytes", "require_space"]

# Samples, logs and the report of some minutes need a few MB; a database of its own some more.
LEAST_FREE_BYTES = 256 * 2**20


def free_bytes(folder: Path) -> int:
    """Return what is free where ``folder`` is, or would be made."""
    path = folder.absolute()
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return shutil.disk_usage(existing).free


def require_space(folder: Path) -> None:
    """Refuse to start on a disk that will be full.

    Raises:
        EnvironmentNotReadyError: less than `LEAST_FREE_BYTES` are free.
    """
    free = free_bytes(folder)
    if free < LEAST_FREE_BYTES:
        raise EnvironmentNotReadyError(
            f"only {free / 2**20:.0f} MiB are free for {folder}; "
            f"accepted: {LEAST_FREE_BYTES / 2**20:.0f} MiB or more"
        )
