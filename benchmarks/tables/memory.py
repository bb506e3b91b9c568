"""Whether memory stays flat over very many requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.job import Tool
from benchmarks.processes import Footprint
from benchmarks.runs import Bench, Order
from surgeproof.errors import EnvironmentNotReadyError

__all__ = ["MemoryRow", "growth_of", "measure_memory"]

# The schedule is built, pools and tables are filled: by now nothing should grow any more.
_SETTLED_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """Resident bytes: ``settled`` is the median of the second fifth of the run, ``end`` the last.

    ``growth_ratio`` is how much more the last fifth holds than the second.
    """

    tool: str
    requests: int
    settled_bytes: int
    end_bytes: int
    growth_ratio: float


def measure_memory(
    bench: Bench, tool: Tool, *, requests: int, rate_per_s: float, users: int
) -> list[MemoryRow]:
    """Send so many requests at an even rate and watch the tool's memory."""
    bench.say(f"memory: {tool.name}, {requests} requests at {rate_per_s:g}/s")
    order = Order(float(round(requests / rate_per_s)), rate_per_s, users)
    try:
        with bench.run(tool, order) as run:
            first = float(run.seen.arrivals_s[0])
            last = float(run.seen.arrivals_s[-1])
            during = [each for each in run.usage.footprints if first <= each.t_s <= last]
            settled, end = growth_of(during)
            count = len(run.seen.arrivals_s)
    except EnvironmentNotReadyError as error:
        bench.leave_out("memory", tool.name, error)
        return []
    return [MemoryRow(tool.name, count, settled, end, end / settled - 1)]


def growth_of(footprints: Sequence[Footprint]) -> tuple[int, int]:
    """Return the median resident bytes of the second and of the last fifth.

    Raises:
        EnvironmentNotReadyError: the run was too short to say.
    """
    fifth = int(len(footprints) * _SETTLED_SHARE)
    if fifth < 1:
        raise EnvironmentNotReadyError(f"only {len(footprints)} looks at the memory; needed: 5")
    held = [each.resident_bytes for each in footprints]
    return int(np.median(held[fifth : 2 * fifth])), int(np.median(held[-fifth:]))
