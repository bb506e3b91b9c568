"""Whether a fault's effect was seen: a rehearsal whose faults did nothing proves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from surgeproof.model.plan import Window
from surgeproof.model.result import FaultRecord
from surgeproof.model.samples import Drops, Samples
from surgeproof.slo.recovery import baselines
from surgeproof.slo.signs import Signs, VitalSeries

__all__ = ["has_changed", "observe_faults"]

# Per endpoint, during the fault against the quiet stretch before it. Fewer samples than these
# on either side show nothing.
FEWEST_SAMPLES = 20
# The median of a loopback service moves by some ms with the load alone; a quarter more, and at
# least 10 ms, is more than that. The p95 moves more, and has a floor of the generator's 50 ms.
P50_FACTOR, P50_FLOOR_S = 1.25, 0.01
P95_FACTOR, P95_FLOOR_S = 1.5, 0.05
# Two points more, of at least five requests: one broken connection is an accident.
SHARE_POINTS, FEWEST_HITS = 0.02, 5.0


def has_changed(during: Signs, before: Signs) -> bool | None:
    """Return whether an endpoint clearly changed for the worse; None if too few requests say."""
    if min(during.n, before.n) < FEWEST_SAMPLES:
        return None
    slower = _rose(during.p50_s, before.p50_s, P50_FACTOR, P50_FLOOR_S) or _rose(
        during.p95_s, before.p95_s, P95_FACTOR, P95_FLOOR_S
    )
    shares = (
        (during.error_ratio, before.error_ratio),
        (during.shed_ratio, before.shed_ratio),
        (during.degraded_ratio, before.degraded_ratio),
    )
    return slower or any(
        now - then >= SHARE_POINTS and (now - then) * during.n >= FEWEST_HITS
        for now, then in shares
    )


def observe_faults(
    samples: Samples,
    drops: Drops,
    faults: Sequence[FaultRecord],
    *,
    run: Window,
    warm_up_end_s: float = 0.0,
    observations: Mapping[str, bool | None] | None = None,
) -> tuple[FaultRecord, ...]:
    """Return the records with ``observed`` filled in.

    A fault is observed if any endpoint clearly changed. ``observations`` by fault name, from the
    dependency's own side (the edge's calls, say), decide where they are not None: a fault behind
    a queue or a fallback need not show at the front.
    """
    known = observations or {}
    names = sorted(set(samples.name.words) | set(drops.name.words))
    changes: dict[str, list[bool | None]] = {fault.name: [] for fault in faults}
    for name in names:
        rows, dropped = samples.take(samples.name.equal(name)), drops.take(drops.name.equal(name))
        vital = VitalSeries.of(rows, dropped)
        before = baselines(vital, faults, run=run, warm_up_end_s=warm_up_end_s)
        for fault in faults:
            if fault.window is not None:
                during = vital.signs([fault.window])
                changes[fault.name].append(has_changed(during, before[fault.name]))
    return tuple(
        replace(fault, observed=_decide(known.get(fault.name), changes[fault.name]))
        for fault in faults
    )


def _decide(known: bool | None, changes: Sequence[bool | None]) -> bool | None:
    if known is not None:
        return known
    if any(changes):
        return True
    return False if False in changes else None


def _rose(now: float | None, then: float | None, factor: float, floor_s: float) -> bool:
    if now is None or then is None:
        return False
    return now >= then * factor and now - then >= floor_s
