"""The unprivileged user that PostgreSQL runs as when the harness runs as root."""

from __future__ import annotations

import pwd
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from surgeproof.errors import EnvironmentNotReadyError

__all__ = ["User", "as_user", "is_reachable_by_all", "unprivileged_user"]

_CANDIDATES = ("nobody", "daemon")

# Runs between fork and exec of the real program, in a process of its own: a hook of `Popen` would
# change the user before the guardian's wrapper has opened its pipe, which only we may open.
_DROP = (
    "import os,sys;os.setgroups([]);os.setgid(int(sys.argv[2]));os.setuid(int(sys.argv[1]));"
    "os.execv(sys.argv[3],sys.argv[3:])"
)


@dataclass(frozen=True, slots=True)
class User:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


def unprivileged_user(effective_uid: int) -> User | None:
    """Return whom to become, or None for somebody who is not root and just stays.

    Raises:
        EnvironmentNotReadyError: root is the only user that there is.
    """
    if effective_uid != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return User(name, entry.pw_uid, entry.pw_gid)
    accepted = " or ".join(_CANDIDATES)
    raise EnvironmentNotReadyError(
        f"postgresql refuses to run as root, and there is no user {accepted} to run it as"
    )


def as_user(user: User | None, command: Sequence[str]) -> list[str]:
    """Return ``command`` (its program as an absolute path), run as ``user``, same pid."""
    if user is None:
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _DROP, str(user.uid), str(user.gid), *command]


def is_reachable_by_all(path: Path) -> bool:
    """Tell whether any user may read ``path`` and pass through every folder above it."""
    resolved = path.resolve()
    folders_open = all(folder.stat().st_mode & 0o001 for folder in resolved.parents)
    wanted = 0o005 if resolved.is_dir() else 0o004
    return folders_open and resolved.stat().st_mode & wanted == wanted
