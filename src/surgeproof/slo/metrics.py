"""The closed list of metrics that a gate can name: their units, statistics and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["LABELS", "METRICS", "Metric", "accepts_stat", "unit_of"]

_REQUEST_LABELS = ("name", "route", "method", "tier", "phase")
_TIMES = ("p(N)", "max", "mean", "count")

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "name": "a request's key, `METHOD /template`",
        "route": "the template over all methods",
        "method": "the HTTP method",
        "tier": "T0 to T3",
        "phase": "a phase of the load",
        "outcome": "full, degraded, shed, error or wrong",
        "fault": "a fault of the plan",
        "kind": "a kind of the ledger",
    }
)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: ``unit`` is that of every statistic but ``count`` (s, ratio, per_s, count)."""

    name: str
    unit: str
    stats: tuple[str, ...]
    labels: tuple[str, ...]
    summary: str
    has_time: bool = True  # whether `during`, `over` and `for` make sense


def _table(*metrics: Metric) -> Mapping[str, Metric]:
    return MappingProxyType({metric.name: metric for metric in metrics})


_ALL = (*_REQUEST_LABELS, "outcome")
_SHARE = ("rate", "count")

METRICS: Mapping[str, Metric] = _table(
    Metric(
        "http.response_time",
        "s",
        _TIMES,
        _ALL,
        "end minus intended start, of every attempt but the shed ones (see `outcome`)",
    ),
    Metric("http.service_time", "s", _TIMES, _ALL, "end minus actual send, likewise"),
    Metric("http.errors", "ratio", _SHARE, _REQUEST_LABELS, "share of errors and drops"),
    Metric("http.wrong", "ratio", _SHARE, _REQUEST_LABELS, "share of wrong answers and drops"),
    Metric("http.shed", "ratio", _SHARE, _REQUEST_LABELS, "share of shed answers and drops"),
    Metric("http.degraded", "ratio", _SHARE, _REQUEST_LABELS, "share of degraded and drops"),
    Metric("http.throughput", "per_s", _SHARE, _ALL, "answers a second"),
    Metric("goodput", "per_s", _SHARE, _REQUEST_LABELS, "full or degraded within the deadline"),
    Metric("yield", "ratio", _SHARE, _REQUEST_LABELS, "full or degraded, of all offered"),
    Metric("arrivals.dropped", "ratio", _SHARE, _REQUEST_LABELS, "share of arrivals never sent"),
    Metric("arrivals.lag", "s", _TIMES, _REQUEST_LABELS, "start minus intended start"),
    Metric("recovery.time", "s", ("max",), ("fault",), "from removal to recovered", False),
    Metric("ledger.lost", "count", ("count",), ("kind",), "acknowledged and not found", False),
    Metric("ledger.duplicated", "count", ("count",), ("kind",), "found twice or more", False),
)


def accepts_stat(metric: Metric, stat: str) -> bool:
    """Return whether the metric has the statistic (``pN`` stands for any quantile)."""
    return stat in metric.stats or (stat.startswith("p") and "p(N)" in metric.stats)


def unit_of(metric: str, stat: str) -> str:
    """Return the base unit of a gate's value: ``s``, ``ratio``, ``per_s`` or ``count``."""
    return "count" if stat == "count" else METRICS[metric].unit
