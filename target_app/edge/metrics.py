"""The metrics of all edges of one process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["EdgeMeter", "EdgeMetrics"]

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
OUTCOMES = ("ok", "error", "timeout", "rejected", "short_circuit")


class EdgeMetrics:
    """Registers the ``app_edge_*``, ``app_breaker_*`` and ``app_retr*`` families once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "app_edge_requests_total",
            "Calls over an edge by outcome.",
            ["edge", "outcome"],
            registry=registry,
        )
        self.duration = Histogram(
            "app_edge_duration_seconds",
            "Time of a call over an edge, retries included.",
            ["edge"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.pool_wait = Histogram(
            "app_edge_pool_wait_seconds",
            "Time until a pooled connection was free.",
            ["edge"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.in_flight = Gauge(
            "app_edge_in_flight", "Calls over an edge now.", ["edge"], registry=registry
        )
        self.breaker_state = Gauge(
            "app_breaker_state", "0 closed, 1 half-open, 2 open.", ["edge"], registry=registry
        )
        self.breaker_transitions = Counter(
            "app_breaker_transitions_total",
            "Changes of a breaker's state.",
            ["edge", "to"],
            registry=registry,
        )
        self.retries = Counter(
            "app_retries_total",
            "Retries by result (ok, error, no_budget).",
            ["edge", "result"],
            registry=registry,
        )
        self.retry_budget = Gauge(
            "app_retry_budget_remaining_ratio",
            "How full the retry budget is.",
            ["edge"],
            registry=registry,
        )

    def of(self, edge: str) -> EdgeMeter:
        """Return the meter of one edge, with its label values already looked up."""
        return EdgeMeter(self, edge)


class EdgeMeter:
    """The children of one edge: looking labels up on each call costs more than counting."""

    def __init__(self, metrics: EdgeMetrics, edge: str) -> None:
        self.requests = {name: metrics.requests.labels(edge, name) for name in OUTCOMES}
        self.duration = metrics.duration.labels(edge)
        self.pool_wait = metrics.pool_wait.labels(edge)
        self.in_flight = metrics.in_flight.labels(edge)
        self.breaker_state = metrics.breaker_state.labels(edge)
        self.retries = {
            name: metrics.retries.labels(edge, name) for name in ("ok", "error", "no_budget")
        }
        self.retry_budget = metrics.retry_budget.labels(edge)
        self._transitions = metrics.breaker_transitions
        self._edge = edge
        self.retry_budget.set(1.0)

    def note_transition(self, value: int, word: str) -> None:
        """Count a breaker's change to the state ``word`` with the gauge value ``value``."""
        self.breaker_state.set(value)
        self._transitions.labels(self._edge, word).inc()
