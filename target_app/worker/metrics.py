"""The metrics of the worker."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["WorkerMetrics"]

_FRESHNESS_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class WorkerMetrics:
    """Registers what relay, consumer and fan-out count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outbox_pending = Gauge(
            "app_outbox_pending", "Events written and not yet in the stream.", registry=registry
        )
        self.outbox_age = Gauge(
            "app_outbox_oldest_age_seconds",
            "Age of the oldest event not yet in the stream.",
            registry=registry,
        )
        self.relayed = Counter(
            "app_outbox_relayed_total", "Events put into the stream.", registry=registry
        )
        self.stream_lag = Gauge(
            "app_stream_lag_messages",
            "Messages in the stream that a consumer has not acknowledged.",
            ["stream", "consumer"],
            registry=registry,
        )
        self.redeliveries = Counter(
            "app_stream_redeliveries_total",
            "Messages delivered more than once.",
            registry=registry,
        )
        self.reconnects = Counter(
            "app_stream_connects_total", "Connections to the stream made.", registry=registry
        )
        self.dead_letters = Counter(
            "app_dead_letters_total",
            "Messages given up because they cannot be understood.",
            ["kind"],
            registry=registry,
        )
        self.fanout_duration = Histogram(
            "app_fanout_duration_seconds",
            "Time to push one post to all its readers.",
            ["path"],
            buckets=_FRESHNESS_BUCKETS_S,
            registry=registry,
        )
        self.fanout_targets = Counter(
            "app_fanout_targets_total", "Timelines that a post was pushed into.", registry=registry
        )
        self.freshness = Histogram(
            "app_feed_freshness_seconds",
            "Time from writing a post to the end of its fan-out.",
            buckets=_FRESHNESS_BUCKETS_S,
            registry=registry,
        )
        self.handled = Counter(
            "app_events_handled_total", "Events worked off.", ["kind"], registry=registry
        )
        self.pushed = Counter(
            "app_push_total",
            "Push messages by what became of them.",
            ["result"],
            registry=registry,
        )
