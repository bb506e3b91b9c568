"""Our schedule in k6's terms: the same number of arrivals in every second of the run.

k6 starts the k-th iteration of its ``ramping-arrival-rate`` executor where the integral of the
rate reaches k, and takes whole rates only. One stage a second holds the schedule's count; rates
are per two seconds, so that half an arrival can be added to the first second. That puts the k-th
iteration where the counts reach k - 1/2, well inside its second, as in the schedule itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["k6_options", "k6_times"]

# Script engines of k6 are made before the start: it makes one at a time later, and drops arrivals
# meanwhile. Enough for answers of two seconds at the peak; twice as many may be added.
_PATIENCE_S = 2.0
_FEWEST, _MOST = 20, 500


def k6_times(per_second: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return when k6 means to start each arrival: even steps in each second since t0."""
    parts = [
        second + (np.arange(count, dtype=np.float64) + 0.5) / count
        for second, count in enumerate(per_second)
        if count
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def k6_options(
    per_second: Sequence[int] | NDArray[np.int64], *, graceful_stop_s: float
) -> dict[str, object]:
    """Return k6's ``options`` for a number of arrivals in each second.

    Iterations under way at the end are given ``graceful_stop_s``.
    """
    counts = [int(count) for count in per_second]
    # A stage of no duration is a jump; without it k6 would draw a slope between two rates.
    targets = [2 * counts[0] + 1, *(2 * count for count in counts[1:])]
    stages: list[dict[str, object]] = [{"target": targets[0], "duration": "1s"}]
    for target in targets[1:]:
        stages.append({"target": target, "duration": "0s"})
        stages.append({"target": target, "duration": "1s"})
    engines = min(_MOST, max(_FEWEST, math.ceil(max(counts) * _PATIENCE_S)))
    return {
        "scenarios": {
            "surge": {
                "executor": "ramping-arrival-rate",
                "startRate": targets[0],
                "timeUnit": "2s",
                "stages": stages,
                "preAllocatedVUs": engines,
                "maxVUs": 2 * engines,
                "gracefulStop": f"{graceful_stop_s:g}s",
            }
        },
        # Preparing includes the wait for everybody else to be prepared.
        "setupTimeout": "10m",
        "discardResponseBodies": False,
        # The tags that samples are made of; others only lengthen each line.
        "systemTags": ["method", "name", "status", "error_code", "group", "scenario"],
    }
