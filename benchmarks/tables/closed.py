"""How many requests one core gets done: 50 connections, one GET, 1 KiB of answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.evenness import throughput
from benchmarks.job import Tool, Work
from benchmarks.runs import Bench, Order, Spread, in_turns
from surgeproof.errors import EnvironmentNotReadyError

__all__ = ["USERS", "ClosedRow", "measure_closed", "measure_journeys"]

USERS = 50


@dataclass(frozen=True, slots=True)
class ClosedRow:
    """Requests (or journeys) per second at the server, and the microseconds of CPU for each.

    The CPU is that of the judged part, without start-up; None where a run was not watched.
    """

    tool: str
    per_s: Spread
    cpu_us: float | None


def measure_closed(
    bench: Bench, tools: Sequence[Tool], *, duration_s: float, skip_s: float, repetitions: int
) -> list[ClosedRow]:
    """Run every tool as fast as it goes; the server counts."""
    order = Order(duration_s, None, USERS)

    def measure(tool: Tool) -> tuple[float, float | None]:
        with bench.run(tool, order) as run:
            per_s = throughput(run.seen.arrivals_s, duration_s=duration_s, skip_s=skip_s)
            first = float(run.seen.arrivals_s[0])
            cpu_ratio = run.usage.cpu_ratio(first + skip_s, first + duration_s)
        return per_s, None if cpu_ratio is None else cpu_ratio / per_s * 1e6

    measures = {tool.name: partial(measure, tool) for tool in tools}
    return _rows(in_turns(bench, "closed", measures, repetitions))


def measure_journeys(
    bench: Bench, tools: Sequence[Tool], *, duration_s: float, repetitions: int
) -> list[ClosedRow]:
    """Run a journey with state in turns: log in, post JSON, read it back with the token.

    The server hands out the token, keeps the post, and counts a journey when its own author reads
    it back. Its rate is over the whole stretch in which requests arrived.
    """
    order = Order(duration_s, None, USERS, Work.JOURNEY)

    def measure(tool: Tool) -> tuple[float, float | None]:
        with bench.run(tool, order) as run:
            seen = run.seen
            if not seen.journeys or seen.rejected:
                raise EnvironmentNotReadyError(
                    f"{seen.journeys} journeys were completed, {seen.rejected} requests rejected"
                )
            first, last = float(seen.arrivals_s[0]), float(seen.arrivals_s[-1])
            per_s = seen.journeys / (last - first)
            cpu_ratio = run.usage.cpu_ratio(first, last)
        return per_s, None if cpu_ratio is None else cpu_ratio / per_s * 1e6

    measures = {tool.name: partial(measure, tool) for tool in tools}
    return _rows(in_turns(bench, "journey", measures, repetitions))


def _rows(found: dict[str, list[tuple[float, float | None]]]) -> list[ClosedRow]:
    rows = []
    for name, runs in found.items():
        costs = [cost for _, cost in runs if cost is not None]
        cpu_us = Spread.of(costs).median if costs else None
        rows.append(ClosedRow(name, Spread.of([per_s for per_s, _ in runs]), cpu_us))
    return rows
