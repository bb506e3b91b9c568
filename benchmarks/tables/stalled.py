"""What the tools say of a server that stands still, against what must be said."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from benchmarks.job import Teller
from benchmarks.runs import Bench, Order
from benchmarks.stall import ResponseTimes, Stall
from surgeproof.errors import EnvironmentNotReadyError

__all__ = ["StallRow", "StallTruth", "measure_stall", "truth_of", "worst_error"]

# Truth takes the service to cost nothing. What a quiet answer costs more than that on a busy core
# is no lie: up to a millisecond, the floor of most tools' timers, is allowed where truth is 0.
_FLOOR_S = 0.001


@dataclass(frozen=True, slots=True)
class StallTruth:
    """What an ideal open-loop client reports, and how many of its requests meet a stall."""

    times: ResponseTimes
    in_stall: int


@dataclass(frozen=True, slots=True)
class StallRow:
    """What one tool reports; ``arrived`` and ``in_stall`` are the server's own count.

    ``worst_error`` is the greatest error of p50, p90, p99 and maximum (see `worst_error`);
    None where the longest is not known (an attempt that never ended).
    """

    tool: str
    reported: ResponseTimes
    arrived: int
    in_stall: int
    worst_error: float | None


def truth_of(stall: Stall, *, rate_per_s: float, duration_s: float) -> StallTruth:
    """Return what must be said of a schedule through a stall."""
    moments = np.arange(round(rate_per_s * duration_s)) / rate_per_s
    times = stall.truth(rate_per_s=rate_per_s, duration_s=duration_s)
    return StallTruth(times, stall.holds(moments))


def worst_error(said: ResponseTimes, truth: ResponseTimes) -> float:
    """Return the greatest relative error of four quantiles; one within a millisecond has none."""
    pairs = (
        (said.p50_s, truth.p50_s),
        (said.p90_s, truth.p90_s),
        (said.p99_s, truth.p99_s),
        (said.max_s, truth.max_s),
    )
    errors = [abs(value - true) for value, true in pairs]
    return max(
        0.0 if error <= _FLOOR_S else error / max(true, _FLOOR_S)
        for error, (_, true) in zip(errors, pairs, strict=True)
    )


def measure_stall(
    bench: Bench,
    groups: Sequence[Sequence[tuple[Teller, int]]],
    stall: Stall,
    *,
    rate_per_s: float,
    duration_s: float,
) -> list[StallRow]:
    """Run each group side by side, every tool (with so many users) before a judge of its own.

    Side by side saves minutes, and is fair here: what is measured are waits of a second. The
    groups are there so that no quiet answer waits for the core.
    """
    truth = truth_of(stall, rate_per_s=rate_per_s, duration_s=duration_s).times
    rows: list[StallRow] = []

    def run(tool: Teller, users: int) -> StallRow:
        order = Order(duration_s, rate_per_s, users, stall=stall)
        with bench.run(tool, order) as ended:
            said = tool.reported(ended.job)
            arrivals = ended.seen.arrivals_s
            since_first = arrivals - arrivals[0]
            error = worst_error(said, truth) if np.isfinite(said.max_s) else None
            return StallRow(tool.name, said, len(arrivals), stall.holds(since_first), error)

    for number, group in enumerate(groups, 1):
        bench.say(f"stall {number}/{len(groups)}: " + ", ".join(tool.name for tool, _ in group))
        with ThreadPoolExecutor(max(1, len(group))) as pool:
            ends = [(tool.name, pool.submit(run, tool, users)) for tool, users in group]
            for name, end in ends:
                try:
                    rows.append(end.result())
                except EnvironmentNotReadyError as error:
                    bench.leave_out("stall", name, error)
    return rows
