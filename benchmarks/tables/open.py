"""Does the server see the schedule that was asked for? And the same from two workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.evenness import TAIL_S, Evenness, evenness_of
from benchmarks.job import Tool
from benchmarks.runs import Bench, Entrant, Order, Spread, in_turns

__all__ = ["OpenRow", "OpenRun", "WorkersPair", "measure_open", "measure_workers"]


@dataclass(frozen=True, slots=True)
class OpenRun:
    """One run; ``cpu_s`` holds the tool's start-up, ``cpu_ratio`` is the judged part's."""

    evenness: Evenness
    cpu_s: float
    cpu_ratio: float | None


@dataclass(frozen=True, slots=True)
class OpenRow:
    """All runs of one tool at one rate. Lags in seconds, CPU in seconds of the whole run.

    ``cpu_ratio`` is the share of a core that the judged part took, without start-up.
    """

    tool: str
    rate_per_s: float
    held_per_s: float
    lag_p50_s: float
    lag_p99_s: Spread
    gap_error_p50_s: float
    even_bins_ratio: float
    worst_bin_ratio: float
    cpu_s: float
    cpu_ratio: float | None


@dataclass(frozen=True, slots=True)
class WorkersPair:
    """One run with one worker and one with two, one right after the other."""

    one_lag_p99_s: float
    two_lag_p99_s: float
    two_arrivals: int
    asked: int


def measure_open(
    bench: Bench,
    entrants: Sequence[Entrant],
    rates_per_s: Sequence[float],
    *,
    duration_s: float,
    skip_s: float,
    repetitions: int,
) -> list[OpenRow]:
    """Run every tool at every rate."""
    cases = {
        f"{each.tool.name} {rate:g}/s": (each.tool, Order(duration_s, rate, each.users(rate)))
        for rate in rates_per_s
        for each in entrants
    }
    measures = {
        name: partial(_open_run, bench, tool, order, skip_s)
        for name, (tool, order) in cases.items()
    }
    found = in_turns(bench, "open", measures, repetitions)
    return [
        _row(cases[name][0].name, cases[name][1].rate_per_s or 0.0, runs)
        for name, runs in found.items()
    ]


def measure_workers(
    bench: Bench,
    one: Tool,
    two: Tool,
    *,
    rate_per_s: float,
    duration_s: float,
    skip_s: float,
    pairs: int,
) -> list[WorkersPair]:
    """Run one worker and two by turns on the same schedule, on the same core."""
    order = Order(duration_s, rate_per_s, users=1)

    def measure() -> WorkersPair:
        alone = _open_run(bench, one, order, skip_s)
        with bench.run(two, order) as run:
            arrivals = run.seen.arrivals_s
            both = evenness_of(
                arrivals, rate_per_s=rate_per_s, duration_s=duration_s, skip_s=skip_s
            )
        return WorkersPair(
            alone.evenness.lag_p99_s,
            both.lag_p99_s,
            len(arrivals),
            round(rate_per_s * duration_s),
        )

    return in_turns(bench, "workers", {two.name: measure}, pairs).get(two.name, [])


def _open_run(bench: Bench, tool: Tool, order: Order, skip_s: float) -> OpenRun:
    with bench.run(tool, order) as run:
        first = float(run.seen.arrivals_s[0])
        evenness = evenness_of(
            run.seen.arrivals_s,
            rate_per_s=order.rate_per_s or 0.0,
            duration_s=order.duration_s,
            skip_s=skip_s,
        )
        cpu_ratio = run.usage.cpu_ratio(first + skip_s, first + order.duration_s - TAIL_S)
        return OpenRun(evenness, run.usage.cpu_s, cpu_ratio)


def _row(name: str, rate_per_s: float, runs: Sequence[OpenRun]) -> OpenRow:
    def middle(value: Callable[[Evenness], float]) -> float:
        return Spread.of([value(run.evenness) for run in runs]).median

    ratios = [run.cpu_ratio for run in runs if run.cpu_ratio is not None]
    return OpenRow(
        tool=name,
        rate_per_s=rate_per_s,
        held_per_s=middle(lambda each: each.rate_per_s),
        lag_p50_s=middle(lambda each: each.lag_p50_s),
        lag_p99_s=Spread.of([run.evenness.lag_p99_s for run in runs]),
        gap_error_p50_s=middle(lambda each: each.gap_error_p50_s),
        even_bins_ratio=middle(lambda each: each.even_bins_ratio),
        worst_bin_ratio=middle(lambda each: each.worst_bin_ratio),
        cpu_s=Spread.of([run.cpu_s for run in runs]).median,
        cpu_ratio=Spread.of(ratios).median if ratios else None,
    )
