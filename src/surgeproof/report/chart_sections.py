"""The sections of the page that hold charts, each with its finding as a title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from surgeproof.model.result import EndpointResult
from surgeproof.model.words import Outcome
from surgeproof.report.accounts import endpoint_results, outcome_share
from surgeproof.report.figures import draw_endpoints, draw_heatmap, draw_server, draw_timeline
from surgeproof.report.figures.endpoints import MOST_PANELS, OUTCOME_COLOURS
from surgeproof.report.run import Run
from surgeproof.report.sentences import heatmap_title, timeline_title
from surgeproof.report.series import Timeline, latency_grid, make_timeline
from surgeproof.report.wording import (
    NOTHING,
    count_text,
    plain,
    plural,
    rate_text,
    ratio_text,
    seconds_text,
)

__all__ = [
    "EndpointSection",
    "Picture",
    "ServerSection",
    "TimelineSection",
    "endpoint_section",
    "heatmap_section",
    "server_section",
    "timeline_section",
]

_TABLE_ROWS = 30
_SOURCES = {
    "prometheus": "Prometheus",
    "scrape": "the harness's own scrape of its metrics",
    "none": "",
}


@dataclass(frozen=True, slots=True)
class TimelineSection:
    """The timeline of the whole run, and its numbers as a table."""

    title: str
    svg: Markup
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class EndpointSection:
    """Response times of each endpoint, drawn and as a table."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    svg: Markup | None
    legend: tuple[tuple[str, str, str], ...]
    left_out: str  # how many endpoints are not drawn, in words; empty for none


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart with its finding; ``svg`` is None where there is nothing to draw."""

    title: str
    svg: Markup | None


@dataclass(frozen=True, slots=True)
class ServerSection:
    """Charts of the target's own metrics; ``empty`` names those without a point."""

    svg: Markup | None
    source: str
    hidden: int
    empty: tuple[str, ...]


def timeline_section(run: Run) -> TimelineSection:
    """Draw load, latency and outcomes over the run, with phases and faults."""
    timeline = make_timeline(run)
    title = timeline_title(run, timeline)
    svg = _markup(draw_timeline(run, timeline, title))
    return TimelineSection(title, svg, _timeline_rows(make_timeline(run, _TABLE_ROWS)))


def _timeline_rows(table: Timeline) -> tuple[tuple[str, ...], ...]:
    columns = (
        (table.offered_per_s, rate_text),
        (table.completed_per_s, rate_text),
        (table.p50_s, seconds_text),
        (table.p99_s, seconds_text),
        (table.bad_ratio, ratio_text),
        (table.shed_ratio, ratio_text),
        (table.degraded_ratio, ratio_text),
    )
    return tuple(
        (f"{start_s:g} s", *(written(float(values[row])) for values, written in columns))
        for row, start_s in enumerate(table.edges_s[:-1].tolist())
    )


def endpoint_section(run: Run) -> EndpointSection:
    """Draw the busiest endpoints, and list all of them."""
    results = endpoint_results(run)
    counted = [endpoint for endpoint in results if endpoint.count]
    busiest = {
        endpoint.name
        for endpoint in sorted(counted, key=lambda endpoint: -endpoint.count)[:MOST_PANELS]
    }
    drawn = [endpoint.name for endpoint in results if endpoint.name in busiest]
    title = _endpoints_title(counted)
    has_answers = bool(np.isfinite(run.samples.end_s).any())
    svg = _markup(draw_endpoints(run, drawn, title)) if drawn and has_answers else None
    signs = {Outcome.FULL: "dot", Outcome.DEGRADED: "square", Outcome.SHED: "triangle"}
    legend = tuple(
        (str(word), colour, signs.get(word, "cross"))
        for word, colour in OUTCOME_COLOURS.items()
        if word is not Outcome.WRONG
    )
    rows = tuple(_endpoint_row(endpoint) for endpoint in results)
    left_out = len(counted) - len(drawn)
    told = plural(left_out, "endpoint") if left_out else ""
    return EndpointSection(title, rows, svg, legend, told)


def _endpoints_title(counted: Sequence[EndpointResult]) -> str:
    timed = [(end.response_time.p99 or 0.0, end.name) for end in counted if end.response_time.p99]
    if not timed:
        return "Endpoints"
    slowest_s, name = max(timed)
    return f"Endpoints: {plain(name)} was slowest, p99 {seconds_text(slowest_s)}"


def _endpoint_row(endpoint: EndpointResult) -> tuple[str, ...]:
    response, service = endpoint.response_time, endpoint.service_time
    shares = (Outcome.FULL, Outcome.DEGRADED, Outcome.SHED, Outcome.ERROR)
    return (
        endpoint.name,
        endpoint.tier or NOTHING,
        count_text(endpoint.count),
        *(outcome_share(endpoint, word) for word in shares),
        *(seconds_text(value) for value in (response.p50, response.p95, response.p99)),
        seconds_text(response.max),
        seconds_text(service.p99),
    )


def heatmap_section(run: Run) -> Picture:
    """Draw how response times were spread, second by second."""
    grid = latency_grid(run)
    if grid is None:
        return Picture("Latency heatmap", None)
    title = heatmap_title(run)
    return Picture(title, _markup(draw_heatmap(run, grid, title)))


def server_section(run: Run) -> ServerSection:
    """Draw what was observed of the target."""
    filled = [chart for chart in run.server_charts if any(line.points for line in chart.series)]
    empty = tuple(chart.title for chart in run.server_charts if chart not in filled)
    svg = _markup(draw_server(run, filled, "Server-side metrics")) if filled else None
    hidden = sum(chart.hidden for chart in run.server_charts)
    return ServerSection(
        svg, _SOURCES.get(run.server_source, plain(run.server_source)), hidden, empty
    )


def _markup(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - matplotlib escapes the texts, `to_svg` the titles
