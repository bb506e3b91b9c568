"""How much processor time the target's processes use, children included, second by second."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from surgeproof.journal.target_cpu import TARGET_CPU_FILE

__all__ = ["ProcessorTimes", "TargetProcessorTime", "processor_times"]

_PROC = Path("/proc")
_SECOND_S = 1.0
# Fields of /proc/PID/stat after the command's closing bracket (proc(5), counted from state).
_PARENT, _TIMES = 1, slice(11, 15)

ProcessorTimes = Callable[[Sequence[tuple[str, int]]], Mapping[str, float]]


def processor_times(
    processes: Sequence[tuple[str, int]], proc: Path = _PROC
) -> Mapping[str, float]:
    """Return the processor seconds of each named process since its start, with its descendants.

    What a child used before it ended is its parent's once it was waited for. A process that is
    gone is left out.
    """
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    ticks: dict[int, int] = {}
    parents: dict[int, int] = {}
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it ended just now
        fields = text.rpartition(")")[2].split()
        pid = int(folder.name)
        parents[pid] = int(fields[_PARENT])
        ticks[pid] = sum(int(field) for field in fields[_TIMES])
    owners = {pid: name for name, pid in processes}
    used = {name: 0.0 for name, pid in processes if pid in ticks}
    for pid, count in ticks.items():
        ancestor = pid
        while ancestor and ancestor not in owners:
            ancestor = parents.get(ancestor, 0)
        if ancestor:
            used[owners[ancestor]] += count / ticks_per_s
    return used


class TargetProcessorTime:
    """Writes `target_cpu.jsonl` of a run folder; nothing for a target that is not ours."""

    def __init__(
        self,
        processes: Sequence[tuple[str, int]],
        folder: Path,
        times: ProcessorTimes = processor_times,
    ) -> None:
        self._processes, self._times = processes, times
        self._file: IO[str] | None = None
        self._before: tuple[float, Mapping[str, float]] | None = None
        if processes:
            self._file = (folder / TARGET_CPU_FILE).open("a", encoding="utf-8")

    def look(self, now_s: float) -> None:
        """Write a line if a second has gone by; ``now_s`` is seconds since t0 (before: ignored)."""
        if self._file is None or now_s < 0:
            return
        if self._before is not None and now_s < self._before[0] + _SECOND_S:
            return
        used = self._times(self._processes)
        if self._before is not None:
            begun_s, before = self._before
            length_s = now_s - begun_s
            ratios = {
                name: round(max(0.0, seconds - before[name]) / length_s, 4)
                for name, seconds in used.items()
                if name in before
            }
            line = {"t_s": round(now_s, 3), "length_s": round(length_s, 3), "cpu_ratio": ratios}
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        self._before = (now_s, used)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
