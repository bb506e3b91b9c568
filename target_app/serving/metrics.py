"""The metrics that every service has; a role adds its own to the same registry."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["ServiceMetrics"]

_DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)
_CALL_BUCKETS = (1, 2, 3, 4, 6, 10, 20, 50)
_DELAY_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class ServiceMetrics:
    """Request, admission, degradation and error metrics of one process."""

    def __init__(self, registry: CollectorRegistry, service: str) -> None:
        self.requests = Counter(
            "app_http_requests_total",
            "Answered requests.",
            ["service", "route", "method", "code", "tier", "degraded"],
            registry=registry,
        )
        self.duration = Histogram(
            "app_http_request_duration_seconds",
            "Time from the start of handling to the end of the answer.",
            ["service", "route", "tier"],
            buckets=_DURATION_BUCKETS_S,
            registry=registry,
        )
        self.calls = Histogram(
            "app_dependency_calls_per_request",
            "Calls over an edge that one request cost, where it cost any.",
            ["service", "route", "edge"],
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "app_http_in_flight", "Requests being handled.", ["service"], registry=registry
        ).labels(service)
        self.queue_delay = Histogram(
            "app_queue_delay_seconds",
            "Time from the arrival of a request's first byte to the start of handling.",
            ["service"],
            buckets=_DELAY_BUCKETS_S,
            registry=registry,
        ).labels(service)
        self.loop_lag = Histogram(
            "app_event_loop_lag_seconds",
            "How late the event loop ran a timer.",
            ["service"],
            buckets=_DELAY_BUCKETS_S,
            registry=registry,
        ).labels(service)
        self.admission_level = Gauge(
            "app_admission_level",
            "Part of the sheddable requests that is shed, 0 to 1.",
            ["service"],
            registry=registry,
        ).labels(service)
        self.knob_level = Gauge(
            "app_knob_level",
            "How many steps of features are given up, 0 to 4.",
            ["service"],
            registry=registry,
        ).labels(service)
        self._flag_info = Gauge(
            "app_flag_info",
            "1 for what each flag is set to.",
            ["service", "flag", "variant"],
            registry=registry,
        )
        self.shed = Counter(
            "app_shed_total",
            "Requests refused by admission.",
            ["service", "tier", "reason"],
            registry=registry,
        )
        self.fallbacks = Counter(
            "app_fallback_total",
            "Features answered by a fallback.",
            ["service", "feature", "mode", "edge"],
            registry=registry,
        )
        self.errors = Counter(
            "app_errors_total",
            "Exceptions by whether somebody handled them.",
            ["service", "feature", "handled"],
            registry=registry,
        )
        self.log_dropped = Gauge(
            "app_log_dropped_total", "Log lines that were dropped.", ["service"], registry=registry
        ).labels(service)
        self.service = service

    def show_flags(self, variants: Mapping[str, str]) -> None:
        """Show what each flag is set to, and no longer what it was set to."""
        self._flag_info.clear()
        for flag, variant in variants.items():
            self._flag_info.labels(self.service, flag, variant).set(1)
