"""When the system was itself again after a fault, and what it was before.

``TTR`` is the smallest ``t >= cleared`` from which one whole window is within tolerance of the
baseline, minus ``cleared``. Never reached means censored, which is a lower bound and no number.
Tolerances follow the reference's recovery rule (p95 within 1.1 times, errors within 0.1 point,
goodput at least 0.95 times the baseline); what is added keeps a handful of requests from
deciding: sliding windows instead of single seconds, and floors below which nothing is noticed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from surgeproof.model.plan import Window
from surgeproof.model.result import FaultRecord, RecoveryResult
from surgeproof.model.samples import Drops, Samples
from surgeproof.slo.signs import Signs, VitalSeries, clean_stretches

__all__ = ["baselines", "find_recoveries", "is_within_tolerance"]

# Ten buckets in a row must hold in the reference; one window of their length is the same
# evidence with ten times the samples in each number.
WINDOW_S = 10.0
# Below five seconds a p95 of some 30 requests a second has fewer than 150 samples and jumps.
SHORTEST_WINDOW_S = 5.0
# The window starts move by one second, which is thus the resolution of a recovery time.
STEP_S = 1.0
# Half a minute before the fault: long enough for a p95, short enough for a rising load.
BASELINE_S = 30.0
# A comparison with fewer requests than a p95 needs (59) is no comparison.
FEWEST_SAMPLES = 59

P95_FACTOR = 1.1
# The generator may send up to 50 ms late at p99 and still counts as reliable, and response time
# starts at the intended moment: less than that may be the generator's own doing.
P95_FLOOR_S = 0.05
ERROR_POINTS = 0.001
YIELD_FACTOR = 0.95
# Answers are degraded for reasons of their own too (a cold cache); one in a hundred is noise.
DEGRADED_POINTS = 0.01
# One request of a window is always allowed: 1 of 300 is 0.33 points, more than ERROR_POINTS.
SPARE_REQUESTS = 1.0


def is_within_tolerance(now: Signs, before: Signs) -> bool:
    """Return whether a window's signs are those of the baseline, for all anyone could tell."""
    if now.n < FEWEST_SAMPLES or now.p95_s is None or before.p95_s is None:
        return False
    spare = SPARE_REQUESTS / now.n
    return (
        now.p95_s <= max(before.p95_s * P95_FACTOR, before.p95_s + P95_FLOOR_S)
        and now.error_ratio <= before.error_ratio + max(ERROR_POINTS, spare)
        and now.degraded_ratio <= before.degraded_ratio + max(DEGRADED_POINTS, spare)
        and now.yield_ratio >= before.yield_ratio * YIELD_FACTOR
    )


def find_recoveries(
    samples: Samples,
    drops: Drops,
    faults: Sequence[FaultRecord],
    *,
    run: Window,
    warm_up_end_s: float = 0.0,
) -> dict[str, RecoveryResult]:
    """Return the recovery from every fault that was applied and verifiably removed, by name.

    A recovery is watched until the next fault or the run's end. Its ``window``, which
    ``during recovery:NAME`` means, ends where the recovery was *proved*: at the end of the
    window that shows it. ``warm_up_end_s`` is where the warm-up phase ends, if there is one.
    """
    vital = VitalSeries.of(samples, drops)
    applied = _in_order(faults)
    before = baselines(vital, applied, run=run, warm_up_end_s=warm_up_end_s)
    found: dict[str, RecoveryResult] = {}
    for fault in applied:
        window = fault.window
        if window is None or not fault.verified:
            continue
        watched = Window(
            f"recovery:{fault.name}", window.end_s, _next_start(applied, fault, run.end_s)
        )
        found[fault.name] = _recover(vital, fault.name, watched, before[fault.name])
    return found


def baselines(
    vital: VitalSeries,
    faults: Sequence[FaultRecord],
    *,
    run: Window,
    warm_up_end_s: float = 0.0,
) -> Mapping[str, Signs]:
    """Return the signs of the quiet stretch before each applied fault, by the fault's name.

    Quiet is what lies outside every earlier fault and the `WINDOW_S` after it; the warm-up is
    left out unless there is nothing else.
    """
    applied = _in_order(faults)
    signs: dict[str, Signs] = {}
    for fault in applied:
        start_s = fault.applied_at_s if fault.applied_at_s is not None else run.end_s
        busy = [
            _with_aftermath(other, run.end_s)
            for other in applied
            if other is not fault and (other.applied_at_s or 0.0) <= start_s
        ]
        signs[fault.name] = _baseline(vital, start_s, busy, run.start_s, warm_up_end_s)
    return signs


def _with_aftermath(fault: FaultRecord, end_s: float) -> Window:
    cleared_s = end_s if fault.cleared_at_s is None else fault.cleared_at_s
    return Window(fault.name, fault.applied_at_s or 0.0, cleared_s + WINDOW_S)


def _baseline(
    vital: VitalSeries,
    start_s: float,
    busy: Sequence[Window],
    run_start_s: float,
    warm_up_end_s: float,
) -> Signs:
    without = vital.signs(
        clean_stretches(max(run_start_s, warm_up_end_s), start_s, busy, BASELINE_S)
    )
    if without.n >= FEWEST_SAMPLES:
        return without
    return vital.signs(clean_stretches(run_start_s, start_s, busy, BASELINE_S))


def _in_order(faults: Sequence[FaultRecord]) -> list[FaultRecord]:
    applied = [fault for fault in faults if fault.applied_at_s is not None]
    return sorted(applied, key=lambda fault: fault.applied_at_s or 0.0)


def _next_start(applied: Sequence[FaultRecord], fault: FaultRecord, end_s: float) -> float:
    cleared_s = fault.cleared_at_s if fault.cleared_at_s is not None else end_s
    later = [
        # A fault that is still on when this one goes leaves no time to recover in.
        max(cleared_s, other.applied_at_s or 0.0)
        for other in applied
        if other is not fault and (other.cleared_at_s is None or other.cleared_at_s > cleared_s)
    ]
    return max(cleared_s, min([end_s, *later]))


def _recover(vital: VitalSeries, fault: str, watched: Window, before: Signs) -> RecoveryResult:
    length_s = min(WINDOW_S, watched.duration_s)
    if length_s >= SHORTEST_WINDOW_S and before.n >= FEWEST_SAMPLES:
        steps = math.floor((watched.duration_s - length_s) / STEP_S + 1e-9) + 1
        for step in range(steps):
            start_s = watched.start_s + step * STEP_S
            proof = Window(watched.name, start_s, start_s + length_s)
            if is_within_tolerance(vital.signs([proof]), before):
                until = Window(watched.name, watched.start_s, proof.end_s)
                return RecoveryResult(fault, step * STEP_S, None, until)
    return RecoveryResult(fault, None, watched.duration_s, watched)
