"""The highest rate that a tool holds, and what is left of it when twice as much is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.evenness import evenness_of, throughput
from benchmarks.runs import Bench, Entrant, Order
from surgeproof.errors import EnvironmentNotReadyError

__all__ = ["STEPS_PER_S", "Climb", "LadderRow", "highest_held", "measure_ladder"]

STEPS_PER_S = (
    *(500.0, 1000.0, 2000.0, 3000.0, 4000.0, 6000.0, 8000.0, 12_000.0, 16_000.0, 24_000.0),
    *(32_000.0, 48_000.0, 64_000.0, 96_000.0),
)
# A rate is held when it is met within 1 % and at least 99 % of arrivals come within 10 ms, in two
# of three runs.
_RATE_TOLERANCE = 0.01
_MOST_LATE = 0.01
_ENOUGH, _TRIES = 2, 3


@dataclass(frozen=True, slots=True)
class Climb:
    """An entrant, and where on the ladder to begin looking."""

    entrant: Entrant
    guess_per_s: float


@dataclass(frozen=True, slots=True)
class LadderRow:
    """``held_per_s`` is None when not even the lowest step is held.

    ``delivered_ratio`` is what arrives each second when twice the held rate is asked for, over
    the held rate. It may be more than 1: the ceiling lies between two steps.
    """

    tool: str
    held_per_s: float | None
    fails_at_per_s: float | None
    delivered_at_double_per_s: float | None
    delivered_ratio: float | None


def measure_ladder(
    bench: Bench, climbs: Sequence[Climb], *, duration_s: float, skip_s: float
) -> list[LadderRow]:
    """Find for each tool its highest step by halving, then ask for twice of it."""
    rows = []
    for climb in climbs:
        name = climb.entrant.tool.name

        def holds(rate_per_s: float, climb: Climb = climb) -> bool:
            return _holds(bench, climb, rate_per_s, duration_s=duration_s, skip_s=skip_s)

        try:
            held, fails_at = highest_held(holds, STEPS_PER_S, climb.guess_per_s)
            delivered = None
            if held is not None:
                bench.say(f"ladder: {name}, twice {held:g}/s")
                order = Order(duration_s, 2 * held, climb.entrant.users(2 * held))
                with bench.run(climb.entrant.tool, order) as run:
                    delivered = throughput(
                        run.seen.arrivals_s, duration_s=duration_s, skip_s=skip_s
                    )
        except EnvironmentNotReadyError as error:
            bench.leave_out("ladder", name, error)
            continue
        ratio = None if held is None or delivered is None else delivered / held
        rows.append(LadderRow(name, held, fails_at, delivered, ratio))
    return rows


def highest_held(
    holds: Callable[[float], bool], steps: Sequence[float], guess: float
) -> tuple[float | None, float | None]:
    """Return the highest step that holds and the lowest that fails; None where there is none.

    What holds is taken to hold below, and what fails to fail above: steps are halved from a guess.
    """
    low, high = -1, len(steps)
    middle = min(range(len(steps)), key=lambda index: abs(steps[index] - guess))
    while high - low > 1:
        if holds(steps[middle]):
            low = middle
            # The guess is near: the next step decides more often than the middle of the rest.
            middle = low + 1 if high == len(steps) else (low + high) // 2
        else:
            high = middle
            middle = high - 1 if low == -1 else (low + high) // 2
    return (steps[low] if low >= 0 else None), (steps[high] if high < len(steps) else None)


def _holds(
    bench: Bench, climb: Climb, rate_per_s: float, *, duration_s: float, skip_s: float
) -> bool:
    order = Order(duration_s, rate_per_s, climb.entrant.users(rate_per_s))
    good = bad = 0
    while good < _ENOUGH and bad <= _TRIES - _ENOUGH:
        bench.say(f"ladder: {climb.entrant.tool.name}, {rate_per_s:g}/s")
        with bench.run(climb.entrant.tool, order) as run:
            try:
                found = evenness_of(
                    run.seen.arrivals_s,
                    rate_per_s=rate_per_s,
                    duration_s=duration_s,
                    skip_s=skip_s,
                )
            except EnvironmentNotReadyError:
                bad += 1  # it sent next to nothing
                continue
            held = throughput(run.seen.arrivals_s, duration_s=duration_s, skip_s=skip_s)
        is_held = abs(held / rate_per_s - 1) <= _RATE_TOLERANCE and found.late_ratio <= _MOST_LATE
        good, bad = good + is_held, bad + (not is_held)
    return good >= _ENOUGH
