"""One definition of a panel's number, for both sources: as PromQL and over own scrapes.

`Rate`, `Quantile` and `Latest` are all that the panels need. Both readings of an expression
follow PromQL's meaning; where Prometheus extrapolates a range to its ends, the own reading divides
by the time that the readings really cover, so the two agree on a steady rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from surgeproof.observe.exposition import SeriesKey
from surgeproof.observe.history import History, Track, increase

__all__ = ["Expression", "Latest", "Quantile", "Rate", "Series", "evaluate", "histogram_quantile"]

_NOWHERE: Mapping[str, str] = MappingProxyType({})
# A gauge is current while its process is scraped: three missed seconds are a gap.
_LOOKBACK_S = 3.0

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a panel: ``labels`` are the values of the expression's ``by`` labels."""

    labels: Labels
    points: tuple[tuple[float, float], ...]


class Expression(Protocol):
    """A number per group of labels and instant."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names it reads, as they stand on a metrics page."""
        ...

    @property
    def by(self) -> Labels:
        """The labels that tell its series apart."""
        ...

    def promql(self, window: str) -> str:
        """Return it as PromQL with ``window`` (``5s``, ``$__rate_interval``) for its ranges."""
        ...

    def at(self, history: History, t_s: float, window_s: float) -> dict[Labels, float]:
        """Return its value per group at an instant; groups without data are absent."""
        ...


@dataclass(frozen=True, slots=True)
class Rate:
    """Per-second increase of a counter, summed by labels. ``excluded`` holds ``label!="value"``."""

    metric: str
    by: Labels
    where: Mapping[str, str] = field(default_factory=lambda: _NOWHERE)
    excluded: Mapping[str, str] = field(default_factory=lambda: _NOWHERE)

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)

    def promql(self, window: str) -> str:
        chosen = _matchers(self.where, self.excluded)
        return f"sum by ({', '.join(self.by)}) (rate({self.metric}{chosen}[{window}]))"

    def at(self, history: History, t_s: float, window_s: float) -> dict[Labels, float]:
        sums: dict[Labels, float] = {}
        for key, track in _chosen(history, self.metric, self.where, self.excluded):
            rate = _rate(track, t_s, window_s)
            if rate is not None:
                group = _group(key, self.by)
                sums[group] = sums.get(group, 0.0) + rate
        return sums


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile estimated from a histogram's buckets, by labels. ``metric`` has no suffix."""

    metric: str
    quantile: float
    by: Labels
    where: Mapping[str, str] = field(default_factory=lambda: _NOWHERE)

    @property
    def metrics(self) -> tuple[str, ...]:
        return (f"{self.metric}_bucket",)

    def promql(self, window: str) -> str:
        rates = f"rate({self.metric}_bucket{_matchers(self.where, {})}[{window}])"
        groups = ", ".join((*self.by, "le"))
        return f"histogram_quantile({self.quantile:g}, sum by ({groups}) ({rates}))"

    def at(self, history: History, t_s: float, window_s: float) -> dict[Labels, float]:
        buckets: dict[Labels, dict[float, float]] = {}
        for key, track in _chosen(history, f"{self.metric}_bucket", self.where, {}):
            rate = _rate(track, t_s, window_s)
            if rate is not None:
                bounds = buckets.setdefault(_group(key, self.by), {})
                bound = float(key.label("le"))
                bounds[bound] = bounds.get(bound, 0.0) + rate
        found = {
            group: histogram_quantile(self.quantile, bounds) for group, bounds in buckets.items()
        }
        return {group: value for group, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Latest:
    """The last value of a gauge, combined by ``combine`` (``sum`` or ``max``) over labels."""

    metric: str
    by: Labels
    combine: str = "sum"

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)

    def promql(self, window: str) -> str:  # noqa: ARG002 - a gauge has no range
        return f"{self.combine} by ({', '.join(self.by)}) ({self.metric})"

    def at(
        self,
        history: History,
        t_s: float,
        window_s: float,  # noqa: ARG002 - a gauge has no range
    ) -> dict[Labels, float]:
        groups: dict[Labels, list[float]] = {}
        for key, track in history.select(self.metric):
            _, values = track.between(t_s - _LOOKBACK_S, t_s)
            if values:
                groups.setdefault(_group(key, self.by), []).append(values[-1])
        combined = max if self.combine == "max" else math.fsum
        return {group: combined(values) for group, values in groups.items()}


def histogram_quantile(quantile: float, cumulative: Mapping[float, float]) -> float | None:
    """Return a quantile from cumulative bucket rates, None where nothing was observed.

    Linear within the bucket that holds it, the first beginning at 0; in the last (+Inf) bucket the
    answer is the highest finite bound: the histogram does not know better::

        Q = b_lo + (b_hi - b_lo) · (q·N - n_lo) / (n_hi - n_lo)

    with N all observations, n_lo and n_hi those at or below the bounds b_lo and b_hi. Source:
    Prometheus documentation, ``histogram_quantile``.
    """
    bounds = sorted(cumulative)
    if len(bounds) < 2 or not math.isinf(bounds[-1]) or cumulative[bounds[-1]] <= 0:
        return None
    rank = quantile * cumulative[bounds[-1]]
    below_bound, below = 0.0, 0.0
    for bound in bounds[:-1]:
        count = max(cumulative[bound], below)
        if count >= rank and count > below:
            return below_bound + (bound - below_bound) * (rank - below) / (count - below)
        below_bound, below = bound, count
    return bounds[-2]


def evaluate(
    expression: Expression, history: History, instants: Sequence[float], window_s: float
) -> list[Series]:
    """Return an expression's series over own scrapes; instants without data are gaps."""
    points: dict[Labels, list[tuple[float, float]]] = {}
    for t_s in instants:
        for group, value in expression.at(history, t_s, window_s).items():
            points.setdefault(group, []).append((t_s, value))
    return [Series(group, tuple(points[group])) for group in sorted(points)]


def _rate(track: Track, t_s: float, window_s: float) -> float | None:
    times_s, values = track.between(t_s - window_s, t_s)
    risen = increase(values)
    return None if risen is None else risen / (times_s[-1] - times_s[0])


def _chosen(
    history: History, metric: str, where: Mapping[str, str], excluded: Mapping[str, str]
) -> Iterable[tuple[SeriesKey, Track]]:
    def matches(key: SeriesKey) -> bool:
        return all(key.label(name) == value for name, value in where.items()) and all(
            key.label(name) != value for name, value in excluded.items()
        )

    return history.select(metric, matches)


def _group(key: SeriesKey, by: Labels) -> Labels:
    return tuple(key.label(name) for name in by)


def _matchers(where: Mapping[str, str], excluded: Mapping[str, str]) -> str:
    parts = [f'{name}="{value}"' for name, value in where.items()]
    parts += [f'{name}!="{value}"' for name, value in excluded.items()]
    return "{" + ", ".join(parts) + "}" if parts else ""
