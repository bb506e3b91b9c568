"""A run's samples as series over time: rates, quantiles, shares and the latency grid.

Everything is binned to a bounded number of points, so that a page of six hours is hardly larger
than one of two minutes. A bin without data is NaN, a gap: it is never zero and never bridged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from surgeproof.model.words import Outcome
from surgeproof.report.run import Run
from surgeproof.slo.quantiles import minimum_samples, quantile
from surgeproof.slo.select import error_mask, timed_mask

__all__ = ["Grid", "Timeline", "latency_grid", "make_timeline", "quantiles_by_bin"]

Floats = NDArray[np.float64]

_MOST_POINTS = 600
_STEPS_S = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
# A quantile's bin is at most this share of the run, however few samples that leaves.
_COARSEST = 1 / 16
_MOST_COLUMNS, _MOST_ROWS = 240, 44
# A sliver of a bin at the end, from an answer just after it, would show as a sudden fall.
_SLIVER = 0.3


@dataclass(frozen=True, slots=True)
class Timeline:
    """The run over time. Edges are n+1 sorted seconds since t0 for n values.

    Offered is what the schedule asked for, completed what was answered, each in its own second.
    Quantiles are of response time, shed answers left out as gates do; infinity is an attempt that
    was never answered. Ratios are of everything offered; ``bad`` is error, wrong and dropped.
    """

    edges_s: Floats
    offered_per_s: Floats
    completed_per_s: Floats
    bad_ratio: Floats
    shed_ratio: Floats
    degraded_ratio: Floats
    quantile_edges_s: Floats
    p50_s: Floats
    p99_s: Floats

    @property
    def quantile_bin_s(self) -> float:
        """The usual length of a bin; one never straddles the edge of a phase or a fault."""
        return float(np.median(np.diff(self.quantile_edges_s)))


@dataclass(frozen=True, slots=True)
class Grid:
    """Counts of answers by time (columns) and response time (rows, logarithmic)."""

    time_edges_s: Floats
    latency_edges_s: Floats
    counts: Floats  # shape (rows, columns)


def make_timeline(run: Run, most_rows: int | None = None) -> Timeline:
    """Return the run's series; all gaps if there is no sample.

    With ``most_rows`` all series share bins, at most so many, as the rows of a table do.
    """
    samples, drops, end_s = run.samples, run.drops, run.end_s
    edges = _edges(end_s, _step(end_s / (most_rows or _MOST_POINTS)))
    width = np.diff(edges)
    offered = _count(samples.intended_s, edges) + _count(drops.intended_s, edges)
    completed = _count(samples.end_s, edges)
    bad = _count(samples.intended_s[error_mask(samples) | samples.outcome.equal("wrong")], edges)
    bad += _count(drops.intended_s, edges)
    silent = (offered == 0) & (completed == 0)
    nobody = offered == 0
    timed = samples.take(timed_mask(samples))
    quantile_edges = edges if most_rows else _quantile_edges(timed.intended_s, end_s, _cuts(run))
    times_s = np.where(np.isnan(timed.end_s), np.inf, timed.response_time_s)
    return Timeline(
        edges_s=edges,
        offered_per_s=_gaps(offered / width, silent),
        completed_per_s=_gaps(completed / width, silent),
        bad_ratio=_ratio(bad, offered, nobody),
        shed_ratio=_ratio(_outcomes(run, Outcome.SHED, edges), offered, nobody),
        degraded_ratio=_ratio(_outcomes(run, Outcome.DEGRADED, edges), offered, nobody),
        quantile_edges_s=quantile_edges,
        p50_s=quantiles_by_bin(timed.intended_s, times_s, quantile_edges, 0.5),
        p99_s=quantiles_by_bin(timed.intended_s, times_s, quantile_edges, 0.99),
    )


def quantiles_by_bin(at_s: Floats, values: Floats, edges: Floats, share: float) -> Floats:
    """Return the exact quantile of the values in each bin; NaN for a bin without any."""
    order = np.argsort(at_s, kind="stable")
    at_s, values = at_s[order], values[order]
    cuts = np.searchsorted(at_s, edges, side="left")
    return np.array(
        [
            quantile(values[first:last], share) if last > first else np.nan
            for first, last in pairwise(cuts)
        ]
    )


def latency_grid(run: Run) -> Grid | None:
    """Return the counts for the heatmap, or None if nothing was answered.

    Few samples make few cells: a grid of ones and zeros shows nothing.
    """
    answered = ~np.isnan(run.samples.end_s)
    times_s = run.samples.response_time_s[answered]
    if not len(times_s):
        return None
    # A response time of zero or less would have no place on a logarithmic axis.
    times_s = np.maximum(times_s, 1e-4)
    bottom, top = float(times_s.min()) / 1.1, float(times_s.max()) * 1.1
    columns = min(max(len(times_s) // 60, 40), _MOST_COLUMNS)
    rows = min(max(int(math.sqrt(len(times_s)) / 1.5), 14), _MOST_ROWS)
    latency_edges = np.geomspace(bottom, top, rows + 1)
    time_edges = _edges(run.end_s, max(run.end_s / columns, 0.5))
    counts, _, _ = np.histogram2d(
        times_s, run.samples.intended_s[answered], bins=(latency_edges, time_edges)
    )
    return Grid(time_edges, latency_edges, counts.astype(np.float64))


def _outcomes(run: Run, outcome: Outcome, edges: Floats) -> Floats:
    return _count(run.samples.intended_s[run.samples.outcome.equal(outcome)], edges)


def _count(times_s: Floats, edges: Floats) -> Floats:
    counts, _ = np.histogram(times_s[~np.isnan(times_s)], bins=edges)
    return counts.astype(np.float64)


def _ratio(part: Floats, whole: Floats, nobody: NDArray[np.bool_]) -> Floats:
    return _gaps(part / np.maximum(whole, 1), nobody)


def _gaps(values: Floats, where: NDArray[np.bool_]) -> Floats:
    return np.where(where, np.nan, values)


def _edges(end_s: float, width_s: float) -> Floats:
    """Return edges of equal bins that reach ``end_s``; the last one takes in a sliver."""
    whole = max(math.floor(end_s / width_s), 1)
    rest_s = end_s - whole * width_s
    edges = np.arange(whole + 1, dtype=np.float64) * width_s
    if rest_s <= 0:
        return edges
    if rest_s < _SLIVER * width_s:
        # The last bin holds what ends at ``end_s`` too.
        edges[-1] = end_s
        return edges
    return np.append(edges, edges[-1] + width_s)


def _step(least_s: float) -> float:
    """Return the smallest round step that is at least ``least_s`` seconds."""
    return next((step for step in _STEPS_S if step >= least_s), math.ceil(least_s))


def _cuts(run: Run) -> list[float]:
    """Return the times at which the load or the target changed."""
    cuts = [edge for phase in run.phases for edge in (phase.start_s, phase.end_s)]
    for fault in run.faults:
        window = run.fault_window(fault)
        cuts += [window.start_s, window.end_s] if window else []
    return sorted(cuts)


def _quantile_edges(times_s: Floats, end_s: float, cuts: list[float]) -> Floats:
    """Return bins wide enough for a p99 to mean something, as far as the run's length allows.

    A bin that straddled the start of a fault would show its effect before its cause.
    """
    width_s = _quantile_width(times_s, end_s)
    kept = [0.0]
    for cut in cuts:
        if kept[-1] + width_s * _SLIVER < cut < end_s - width_s * _SLIVER:
            kept.append(cut)
    kept.append(end_s)
    pieces = [
        np.linspace(start, end, max(round((end - start) / width_s), 1), endpoint=False)
        for start, end in pairwise(kept)
    ]
    return np.append(np.concatenate(pieces), end_s)


def _quantile_width(times_s: Floats, end_s: float) -> float:
    floor_s = _step(end_s / _MOST_POINTS)
    wanted = minimum_samples(0.99)
    for step in _STEPS_S:
        if step < floor_s:
            continue
        counts = _count(times_s, _edges(end_s, step))
        busy = counts[counts > 0]
        if step >= end_s * _COARSEST or (len(busy) and float(np.median(busy)) >= wanted):
            return step
    return max(floor_s, _STEPS_S[-1])
