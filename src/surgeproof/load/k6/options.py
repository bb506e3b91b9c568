"""Our schedule in k6's terms: the same number of arrivals in every second of the run.

k6 starts the k-th iteration of its ``ramping-arrival-rate`` executor where the integral of the
rate reaches k, and takes whole rates only. One stage a second holds the schedule's count; rates
are per two seconds, so that half an arrival can be added to the first second. That puts the k-th
iteration where the counts reach k - 1/2, well inside its second. What is left of a last second
that the plan cuts short is a stage of that length: the rate closest to its count is off by a
quarter of an arrival at most, so the count still is the schedule's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["REPLACED", "Stage", "k6_options", "k6_stages", "k6_times"]

# Options of a script that say how much load there is; the plan says that here.
REPLACED = (
    "vus",
    "duration",
    "iterations",
    "stages",
    "scenarios",
    "executionSegment",
    "executionSegmentSequence",
    "paused",
    "rps",
    "linger",
    "noSetup",
    "noTeardown",
)
SCENARIO = "surge"
_TIME_UNIT_S = 2.0
# Script engines of k6 are made before the start: it makes one at a time later, and drops arrivals
# meanwhile. Enough for answers of two seconds at the peak; twice as many may be added.
_PATIENCE_S = 2.0
_FEWEST, _MOST = 20, 500
# What is due at the very end is started late by some milliseconds; when its stages are over, k6
# starts nothing any more and does not call that dropped.
_TAIL_S = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch at an even rate: ``target`` arrivals for each two seconds."""

    target: int
    duration_s: float


def k6_stages(
    per_second: Sequence[int] | NDArray[np.int64], duration_s: float | None = None
) -> tuple[Stage, ...]:
    """Return one stage for each second; the last ends where the run does.

    Stages hold at least half an arrival more than the counts up to their end, and less than one.
    """
    counts = [int(count) for count in per_second]
    end_s = float(len(counts)) if duration_s is None else duration_s
    stages = []
    for second, count in enumerate(counts):
        # k6 takes durations in nanoseconds; a millisecond is the least that makes sense here.
        length_s = max(0.001, min(1.0, round(end_s - second, 9)))
        extra = 1.0 if second == 0 else 0.0
        stages.append(Stage(round((_TIME_UNIT_S * count + extra) / length_s), length_s))
    return tuple(stages)


def k6_times(stages: Sequence[Stage]) -> NDArray[np.float64]:
    """Return when k6 means to start each arrival, in seconds since t0."""
    ends_s = np.cumsum([0.0, *(stage.duration_s for stage in stages)])
    reached = np.cumsum(
        [0.0, *(stage.target * stage.duration_s / _TIME_UNIT_S for stage in stages)]
    )
    wanted = np.arange(1, math.floor(reached[-1]) + 1, dtype=np.float64)
    place = np.searchsorted(reached, wanted, side="left") - 1
    rates = np.array([stage.target for stage in stages], dtype=np.float64) / _TIME_UNIT_S
    times = ends_s[place] + (wanted - reached[place]) / rates[place]
    return np.asarray(times, dtype=np.float64)


def k6_options(
    stages: Sequence[Stage],
    *,
    graceful_stop_s: float,
    max_in_flight: int,
    thresholds: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, object]:
    """Return k6's ``options``.

    Iterations under way at the end are given ``graceful_stop_s``. Each arrival under way takes a
    script engine ("VU"), so there are at most ``max_in_flight`` of those.
    """
    steps: list[dict[str, object]] = [_step(stages[0].target, stages[0].duration_s)]
    for stage in stages[1:]:
        # A stage of no duration is a jump; without it k6 would draw a slope between two rates.
        steps += [_step(stage.target, 0.0), _step(stage.target, stage.duration_s)]
    steps += [_step(0, 0.0), _step(0, _TAIL_S)]
    peak_per_s = max(stage.target for stage in stages) / _TIME_UNIT_S
    engines = min(_MOST, max(_FEWEST, math.ceil(peak_per_s * _PATIENCE_S)), max_in_flight)
    return {
        "scenarios": {
            SCENARIO: {
                "executor": "ramping-arrival-rate",
                "startRate": stages[0].target,
                "timeUnit": f"{_TIME_UNIT_S:g}s",
                "stages": steps,
                "preAllocatedVUs": engines,
                "maxVUs": min(2 * engines, max_in_flight),
                "gracefulStop": f"{graceful_stop_s:g}s",
            }
        },
        "thresholds": {name: list(wanted) for name, wanted in (thresholds or {}).items()},
        # Preparing includes the wait for everybody else to be prepared.
        "setupTimeout": "10m",
        "discardResponseBodies": False,
        # The tags that samples are made of or thresholds name; others only lengthen each line.
        "systemTags": [
            *("method", "name", "status", "error_code", "group", "check", "scenario"),
            "expected_response",
        ],
        # What there is of a threshold's samples must be known to believe it.
        "summaryTrendStats": ["count", "avg", "min", "med", "max", "p(95)", "p(99)"],
    }


def _step(target: int, duration_s: float) -> dict[str, object]:
    return {"target": target, "duration": f"{round(duration_s * 1e9)}ns"}
