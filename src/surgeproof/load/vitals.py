"""What a generator process measures of itself: processors, collections, descriptors, ports.

All of it is read once a second from /proc and costs a fraction of a millisecond; what this
machine does not tell is None and never guessed.
"""

from __future__ import annotations

import gc
import os
import resource
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Vitals", "ports_limit"]

_PROC = Path("/proc")
# Columns of a cpu line of /proc/stat (proc(5)): user nice system idle iowait irq softirq steal.
_IDLE, _IOWAIT, _STEAL, _COLUMNS = 3, 4, 7, 8


@dataclass(frozen=True, slots=True)
class _Processors:
    """Time of the processors that this process may use, summed, in ticks since boot."""

    total: int
    idle: int
    steal: int


class Vitals:
    """Measures this process from `begin` on; use it as a context to end the measuring.

    ``cores`` are the processors that this process may run on. Its methods belong to one thread;
    collections of garbage are counted in whichever thread they happen.
    """

    def __init__(
        self,
        *,
        proc: Path = _PROC,
        cores: Iterable[int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._proc, self._monotonic = proc, monotonic
        self._cores = frozenset(os.sched_getaffinity(0) if cores is None else cores)
        self._ports_limit = ports_limit(proc)
        self._pauses = 0
        self._pause_total_s = 0.0
        self._pause_longest_s = 0.0
        self._pause_began: float | None = None
        self._files_most: int | None = None
        self._ports_most: int | None = None
        self._began = self._before = self._processors()

    def begin(self) -> None:
        """Start to measure: the ratios of the last line count from here."""
        self._began = self._before = self._processors()
        if self._on_collection not in gc.callbacks:
            gc.callbacks.append(self._on_collection)

    def end(self) -> None:
        """Stop counting collections; idempotent."""
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def line(self, *, is_end: bool = False) -> dict[str, object]:
        """Return what belongs in a line of the pulse.

        ``busy_ratio`` and ``steal_ratio`` are of the ``cores`` that this process may use, since
        the line before (the last line: since `begin`); everything else is since `begin`.
        ``ports_used`` is an upper bound: all TCP sockets of this network namespace, for what
        has both of its ends here has two.
        """
        processors = self._processors()
        since = self._began if is_end else self._before
        self._before = processors
        files, ports = self._open_files(), self._tcp_sockets()
        self._files_most = _most(self._files_most, files)
        self._ports_most = _most(self._ports_most, ports)
        return {
            "cores": len(self._cores),
            **_ratios(since, processors),
            "gc_pauses": self._pauses,
            "gc_longest_s": round(self._pause_longest_s, 6),
            "gc_total_s": round(self._pause_total_s, 6),
            "files_used": files,
            "files_most": self._files_most,
            "files_limit": _files_limit(),
            "ports_used": ports,
            "ports_most": self._ports_most,
            "ports_limit": self._ports_limit,
        }

    def _on_collection(self, phase: str, _info: Mapping[str, int]) -> None:
        """Count a collection of garbage: the whole process stands still for as long."""
        if phase == "start":
            self._pause_began = self._monotonic()
        elif self._pause_began is not None:
            pause_s = self._monotonic() - self._pause_began
            self._pause_began = None
            self._pauses += 1
            self._pause_total_s += pause_s
            self._pause_longest_s = max(self._pause_longest_s, pause_s)

    def _processors(self) -> _Processors | None:
        names = {f"cpu{core}" for core in self._cores}
        total = idle = steal = 0
        try:
            text = (self._proc / "stat").read_text(encoding="ascii")
        except OSError:
            return None
        for line in text.splitlines():
            name, *columns = line.split()
            if name not in names or len(columns) < _COLUMNS:
                continue
            ticks = [int(column) for column in columns[:_COLUMNS]]
            total += sum(ticks)
            idle += ticks[_IDLE] + ticks[_IOWAIT]
            steal += ticks[_STEAL]
        return _Processors(total, idle, steal) if total else None

    def _open_files(self) -> int | None:
        folder = self._proc / "self" / "fd"
        try:
            # Since Linux 6.2 the folder's size is the number of its entries; before it is 0.
            return folder.stat().st_size or sum(1 for _ in folder.iterdir())
        except OSError:
            return None

    def _tcp_sockets(self) -> int | None:
        """Return the TCP sockets in use and in TIME_WAIT, whose ports are not free either."""
        found = None
        for name in ("sockstat", "sockstat6"):
            try:
                text = (self._proc / "net" / name).read_text(encoding="ascii")
            except OSError:
                continue
            for line in text.splitlines():
                title, *words = line.split()
                if title in {"TCP:", "TCP6:"}:
                    values = dict(zip(words[::2], words[1::2], strict=False))
                    found = (found or 0) + int(values.get("inuse", 0)) + int(values.get("tw", 0))
        return found


def _ratios(before: _Processors | None, after: _Processors | None) -> dict[str, float | None]:
    if before is None or after is None or after.total <= before.total:
        return {"busy_ratio": None, "steal_ratio": None}
    total = after.total - before.total
    idle, steal = after.idle - before.idle, after.steal - before.steal
    return {
        "busy_ratio": round(max(0.0, 1 - (idle + steal) / total), 4),
        "steal_ratio": round(max(0.0, steal / total), 4),
    }


def _most(known: int | None, found: int | None) -> int | None:
    return known if found is None else found if known is None else max(known, found)


def _files_limit() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def ports_limit(proc: Path = _PROC) -> int | None:
    """Return how many ephemeral ports there are: so many connections to one address fit."""
    path = proc / "sys" / "net" / "ipv4" / "ip_local_port_range"
    try:
        first, last = path.read_text(encoding="ascii").split()
        return int(last) - int(first) + 1
    except (OSError, ValueError):
        return None
