"""Where a process runs: whether two share a clock, and whether one has died."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Place", "ProcessWatch", "here"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACES = Path("/proc/self/ns")


@dataclass(frozen=True, slots=True)
class Place:
    """A process and its surroundings; an empty string is not known, and equal to nothing."""

    host: str
    pid: int
    boot_id: str = ""
    time_namespace: str = ""
    pid_namespace: str = ""

    def shares_clock_with(self, other: Place) -> bool:
        """Tell whether both read the same CLOCK_MONOTONIC: one kernel, one time namespace."""
        mine, its = (self.boot_id, self.time_namespace), (other.boot_id, other.time_namespace)
        return all(mine) and mine == its

    def sees_processes_of(self, other: Place) -> bool:
        """Tell whether the other's process number means the same process here."""
        mine, its = (self.boot_id, self.pid_namespace), (other.boot_id, other.pid_namespace)
        return all(mine) and mine == its

    def to_data(self) -> dict[str, object]:
        """Return it as plain data for a message."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, object]) -> Place:
        """Read it from a message; what is missing is not known."""
        pid = data.get("pid")
        return cls(
            host=str(data.get("host", "")),
            pid=pid if isinstance(pid, int) else 0,
            boot_id=str(data.get("boot_id", "")),
            time_namespace=str(data.get("time_namespace", "")),
            pid_namespace=str(data.get("pid_namespace", "")),
        )


def here(host: str) -> Place:
    """Return where this process runs; what the system does not tell is left empty."""
    return Place(host, os.getpid(), _read(_BOOT_ID), _link("time"), _link("pid"))


class ProcessWatch:
    """Notices the death of a process of this machine, whoever its parent is.

    It holds on to the process itself (a pidfd) and not to its number, which another may get. What
    cannot be watched (an older kernel, another's process, gone already) is never said to have died.
    """

    def __init__(self, pid: int) -> None:
        try:
            self._descriptor = os.pidfd_open(pid)
        except (AttributeError, OSError):
            self._descriptor = -1

    @property
    def has_died(self) -> bool:
        if self._descriptor < 0:
            return False
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _link(namespace: str) -> str:
    try:
        return str((_NAMESPACES / namespace).readlink())
    except OSError:
        return ""
