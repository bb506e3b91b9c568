"""The fixed list of server-side panels, and `server_metrics.json` for the report.

The same list makes the Grafana overview, so a name that the target stops exporting is missed by
one test in both places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from surgeproof.observe.expressions import Expression, Latest, Quantile, Rate, Series, evaluate
from surgeproof.observe.history import History

__all__ = [
    "ENTRY_SERVICE",
    "PANELS",
    "RATE_WINDOW_S",
    "SERVER_METRICS_FILE",
    "Panel",
    "panels_from_history",
    "run_seconds",
    "server_metrics",
]

SERVER_METRICS_FILE = "server_metrics.json"
# The service that users reach: its requests are the users' requests.
ENTRY_SERVICE = "gateway"
# Ranges of rates: five scrapes at one a second, short enough to show the edges of a fault.
RATE_WINDOW_S = 5


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: ``hides_zero`` leaves out lines that are zero throughout, and counts them."""

    title: str
    unit: str  # per_s | seconds | state | level | count
    expression: Expression
    hides_zero: bool = False


PANELS: tuple[Panel, ...] = (
    Panel("Requests by service", "per_s", Rate("app_http_requests_total", ("service",))),
    Panel(
        "p99 request time by service",
        "seconds",
        Quantile("app_http_request_duration_seconds", 0.99, ("service",)),
    ),
    Panel(
        "Answers of the entry by status code",
        "per_s",
        Rate("app_http_requests_total", ("code",), where={"service": ENTRY_SERVICE}),
    ),
    Panel("Calls by edge", "per_s", Rate("app_edge_requests_total", ("edge",))),
    Panel(
        "Failed calls by edge and outcome",
        "per_s",
        Rate("app_edge_requests_total", ("edge", "outcome"), excluded={"outcome": "ok"}),
        hides_zero=True,
    ),
    Panel(
        "p99 call time by edge",
        "seconds",
        Quantile("app_edge_duration_seconds", 0.99, ("edge",)),
    ),
    Panel(
        "Breaker state by edge (0 closed, 1 half-open, 2 open)",
        "state",
        Latest("app_breaker_state", ("edge",), combine="max"),
        hides_zero=True,
    ),
    Panel(
        "Fallbacks by feature and edge",
        "per_s",
        Rate("app_fallback_total", ("feature", "mode", "edge")),
        hides_zero=True,
    ),
    Panel(
        "Admission level by service",
        "level",
        Latest("app_admission_level", ("service",), combine="max"),
    ),
    Panel(
        "Shed requests by service and tier",
        "per_s",
        Rate("app_shed_total", ("service", "tier")),
        hides_zero=True,
    ),
    Panel("Outbox pending", "count", Latest("app_outbox_pending", ("process",), combine="max")),
    Panel(
        "Stream lag by consumer",
        "count",
        Latest("app_stream_lag_messages", ("stream", "consumer"), combine="max"),
    ),
)


def panels_from_history(history: History, end_s: float) -> dict[str, list[Series]]:
    """Return each panel's series, by title, from own scrapes at whole seconds of the run."""
    instants = [float(second) for second in run_seconds(end_s)]
    return {
        panel.title: evaluate(panel.expression, history, instants, RATE_WINDOW_S)
        for panel in PANELS
    }


def server_metrics(source: str, found: Mapping[str, list[Series]]) -> dict[str, object]:
    """Return the content of `server_metrics.json`.

    A panel without data has an empty list of series: the report says so instead of a flat line.
    """
    return {
        "schema": "surgeproof/server-metrics/1",
        "source": source,
        "panels": [_panel_json(panel, found.get(panel.title, [])) for panel in PANELS],
    }


def _panel_json(panel: Panel, series: list[Series]) -> dict[str, object]:
    shown = [line for line in series if not (panel.hides_zero and _is_zero(line))]
    return {
        "title": panel.title,
        "unit": panel.unit,
        "series": [
            {
                "label": " ".join(label for label in line.labels if label),
                "points": [[t_s, _rounded(value)] for t_s, value in line.points],
            }
            for line in shown
        ],
        "hidden_zero_series": len(series) - len(shown),
    }


def _is_zero(line: Series) -> bool:
    return all(value == 0 for _, value in line.points)


def _rounded(value: float) -> float:
    # Five significant digits draw the same line in half the bytes.
    return float(f"{value:.5g}")


def run_seconds(end_s: float) -> range:
    """Return the whole seconds of a run at which panels have their points."""
    return range(math.floor(end_s) + 1)
