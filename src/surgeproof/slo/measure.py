"""A metric as a series on the time axis, and its statistics over any stretch of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surgeproof.model.plan import Selector
from surgeproof.model.samples import Samples
from surgeproof.model.words import Outcome
from surgeproof.slo.metrics import METRICS
from surgeproof.slo.quantiles import quantile
from surgeproof.slo.run_data import RunData
from surgeproof.slo.select import (
    answered_mask,
    arrival_mask,
    error_mask,
    label_mask,
    timed_mask,
)

__all__ = ["Measurement", "Series", "series_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measurement:
    """``value`` is in the statistic's base unit, None without data; ``n`` says of how many."""

    value: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Series:
    """Events of one metric in order of intended start; the three arrays have equal length.

    ``values`` are seconds for times, and 1 or 0 (counts or not) for shares and rates;
    ``weights`` say how often an event counts in a share's denominator (a retry is no new intent).
    """

    unit: str
    stat: str
    times_s: Floats
    values: Floats
    weights: Floats

    def measure(self, start_s: float, end_s: float) -> Measurement:
        """Return the statistic over the events intended in ``[start_s, end_s)``."""
        first, last = np.searchsorted(self.times_s, (start_s, end_s), side="left")
        values, weights = self.values[first:last], self.weights[first:last]
        total = round(float(weights.sum()))
        if self.unit == "s":
            return self._measure_time(values)
        if self.stat == "count":
            return Measurement(float(values.sum()) if total else None, total)
        if self.unit == "ratio":
            return Measurement(float(values.sum() / total) if total else None, total)
        if end_s <= start_s:
            return Measurement(None, 0)
        # Silence is a rate of zero, but no sample at all within the selection is no data: the
        # gate tells these apart by the whole window's n.
        return Measurement(float(values.sum()) / (end_s - start_s), total)

    def _measure_time(self, values: Floats) -> Measurement:
        count = len(values)
        if self.stat == "count":
            return Measurement(float(count), count)
        if not count:
            return Measurement(None, 0)
        if self.stat == "max":
            return Measurement(float(values.max()), count)
        if self.stat == "mean":
            return Measurement(float(values.mean()), count)
        return Measurement(quantile(values, float(self.stat[1:]) / 100), count)


def series_of(selector: Selector, stat: str, data: RunData) -> Series:
    """Return the events that a selector means; drops count as bad in every share.

    Raises:
        ValueError: the metric has no time axis (recovery and ledger are judged apart).
    """
    metric = METRICS[selector.metric]
    if not metric.has_time:
        raise ValueError(f"{metric.name} is no series")
    samples = data.samples.take(label_mask(data.samples, selector.labels))
    if metric.unit == "s":
        times_s, values = _times(metric.name, samples, "outcome" in selector.labels)
        return _sorted(metric.unit, stat, times_s, values, np.ones(len(values)))
    if metric.unit == "per_s":
        values = _rated(metric.name, samples, data)
        return _sorted(metric.unit, stat, samples.intended_s, values, np.ones(len(values)))
    return _share(selector, stat, samples, data)


def _times(metric: str, samples: Samples, any_outcome: bool) -> tuple[Floats, Floats]:
    if metric == "arrivals.lag":
        rows = samples.take(arrival_mask(samples))
        values = rows.start_s - rows.intended_s
    else:
        rows = samples if any_outcome else samples.take(timed_mask(samples))
        values = rows.response_time_s if metric == "http.response_time" else rows.service_time_s
    # An attempt that never ended is slower than any limit; leaving it out would flatter.
    return rows.intended_s, np.where(np.isnan(values), np.inf, values)


def _rated(metric: str, samples: Samples, data: RunData) -> Floats:
    if metric == "http.throughput":
        return (~np.isnan(samples.end_s)).astype(np.float64)
    limits = {endpoint.name: endpoint.deadline_s for endpoint in data.endpoints}
    words = samples.name.words
    # A request that the plan gives no deadline is good however late it is.
    by_word = np.array([limits.get(word, np.inf) for word in words], dtype=np.float64)
    deadline = by_word[samples.name.codes] if words else np.empty(0)
    in_time = samples.response_time_s <= deadline
    return (answered_mask(samples) & in_time).astype(np.float64)


_COUNTED_OUTCOME: Mapping[str, Outcome] = {
    "http.wrong": Outcome.WRONG,
    "http.shed": Outcome.SHED,
    "http.degraded": Outcome.DEGRADED,
}


def _share(selector: Selector, stat: str, samples: Samples, data: RunData) -> Series:
    metric = selector.metric
    drops = data.drops.take(label_mask(data.drops, selector.labels))
    # A drop has no outcome: it spoils every share, but it is not counted as, say, an error.
    dropped_value, weights = 1.0, np.ones(len(samples))
    if metric == "arrivals.dropped":
        samples = samples.take(arrival_mask(samples))
        values, weights = np.zeros(len(samples)), np.ones(len(samples))
    elif metric == "yield":
        values, dropped_value = answered_mask(samples).astype(np.float64), 0.0
        weights = (samples.attempt <= 1).astype(np.float64)
    elif metric == "http.errors":
        values = error_mask(samples).astype(np.float64)
    else:
        values = samples.outcome.equal(_COUNTED_OUTCOME[metric]).astype(np.float64)
    if stat == "count" and metric != "arrivals.dropped":
        dropped_value = 0.0
    return _sorted(
        METRICS[metric].unit,
        stat,
        np.concatenate([samples.intended_s, drops.intended_s]),
        np.concatenate([values, np.full(len(drops), dropped_value)]),
        np.concatenate([weights, np.ones(len(drops))]),
    )


def _sorted(unit: str, stat: str, times_s: Floats, values: Floats, weights: Floats) -> Series:
    order = np.argsort(times_s, kind="stable")
    return Series(unit, stat, times_s[order], values[order], weights[order])
