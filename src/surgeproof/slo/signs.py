"""The vital signs of a stretch of the run: how fast, how much failed, shed or degraded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surgeproof.model.plan import Window
from surgeproof.model.samples import Drops, Samples
from surgeproof.model.words import Outcome
from surgeproof.slo.quantiles import quantile
from surgeproof.slo.select import answered_mask, error_mask, timed_mask

__all__ = ["Signs", "VitalSeries", "clean_stretches"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Signs:
    """Of ``n`` attempts and drops: times in seconds (infinite: never ended), shares 0..1.

    ``error_ratio`` counts errors, wrong answers and drops; ``yield_ratio`` full and degraded
    answers per offered request. Times are None where no attempt is timed.
    """

    n: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    error_ratio: float
    shed_ratio: float
    degraded_ratio: float
    yield_ratio: float


@dataclass(frozen=True, slots=True)
class VitalSeries:
    """Samples and drops prepared for many windows: all arrays in order of intended start."""

    times_s: Floats
    response_s: Floats  # infinite: never ended; NaN: not timed (shed, dropped)
    is_error: NDArray[np.bool_]
    is_shed: NDArray[np.bool_]
    is_degraded: NDArray[np.bool_]
    is_answered: NDArray[np.bool_]
    is_offered: NDArray[np.bool_]

    @classmethod
    def of(cls, samples: Samples, drops: Drops) -> VitalSeries:
        times_s = np.concatenate([samples.intended_s, drops.intended_s])
        order = np.argsort(times_s, kind="stable")
        response_s = np.where(np.isnan(samples.end_s), np.inf, samples.response_time_s)
        response_s = np.where(timed_mask(samples), response_s, np.nan)

        def with_drops(mask: NDArray[np.bool_], dropped: bool) -> NDArray[np.bool_]:
            return np.concatenate([mask, np.full(len(drops), dropped)])[order]

        return cls(
            times_s[order],
            np.concatenate([response_s, np.full(len(drops), np.nan)])[order],
            with_drops(error_mask(samples) | samples.outcome.equal(Outcome.WRONG), True),
            with_drops(samples.outcome.equal(Outcome.SHED), False),
            with_drops(samples.outcome.equal(Outcome.DEGRADED), False),
            with_drops(answered_mask(samples), False),
            with_drops(samples.attempt <= 1, True),
        )

    def signs(self, stretches: Sequence[Window]) -> Signs:
        """Return the signs of all the stretches together (they must not overlap)."""
        parts = [
            np.arange(*np.searchsorted(self.times_s, (s.start_s, s.end_s), side="left"))
            for s in stretches
        ]
        rows = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
        timed = self.response_s[rows]
        timed = timed[~np.isnan(timed)]
        offered = max(1, int(self.is_offered[rows].sum()))
        n = len(rows)
        return Signs(
            n=n,
            p50_s=quantile(timed, 0.5) if len(timed) else None,
            p95_s=quantile(timed, 0.95) if len(timed) else None,
            p99_s=quantile(timed, 0.99) if len(timed) else None,
            error_ratio=float(self.is_error[rows].sum() / max(1, n)),
            shed_ratio=float(self.is_shed[rows].sum() / max(1, n)),
            degraded_ratio=float(self.is_degraded[rows].sum() / max(1, n)),
            yield_ratio=float(self.is_answered[rows].sum() / offered),
        )


def clean_stretches(
    start_s: float, end_s: float, busy: Sequence[Window], longest_s: float
) -> tuple[Window, ...]:
    """Return the parts of ``[start_s, end_s)`` outside ``busy``, the latest ``longest_s`` of them.

    In order of time. What lies nearest to a fault compares best with it, for the load changes.
    """
    gaps: list[tuple[float, float]] = []
    cursor = start_s
    for window in sorted(busy, key=lambda window: window.start_s):
        if window.start_s > cursor:
            gaps.append((cursor, min(window.start_s, end_s)))
        cursor = max(cursor, window.end_s)
    gaps.append((cursor, end_s))
    kept: list[Window] = []
    left_s = longest_s
    for begin, finish in reversed([gap for gap in gaps if gap[1] > gap[0]]):
        if left_s <= 0:
            break
        kept.append(Window("baseline", max(begin, finish - left_s), finish))
        left_s -= finish - begin
    return tuple(reversed(kept))
