"""Everything that is asked of Prometheus, asked of a real one that scrapes a real page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Protocol

import pytest

from surgeproof.clock import SystemClock
from surgeproof.errors import EnvironmentNotReadyError, SurgeproofError
from surgeproof.model.plan import Fault, Window
from surgeproof.observe.dashboards import dashboard_panels
from surgeproof.observe.edge_effect import EDGE_METRICS, fault_effect
from surgeproof.observe.exporter import Exporter, LiveMetrics
from surgeproof.observe.expressions import Series
from surgeproof.observe.prometheus import Prometheus, RunAxis
from surgeproof.observe.prometheus_server import PrometheusServer
from surgeproof.observe.rules import BURN_WINDOWS, OBJECTIVES, error_ratio_record
from surgeproof.observe.scrape import Scraper
from surgeproof.observe.series import PANELS, panels_from_history

pytestmark = [pytest.mark.integration, pytest.mark.prometheus]

# Long enough for a full rate range before and within the broken part.
_CALM_S, _BROKEN_S = 9.0, 7.0
_BROKEN_EDGE = "graph-pg"


class AppPage(Protocol):
    """What these tests use of the page that `conftest.py` serves."""

    @property
    def url(self) -> str: ...

    def break_edge(self, edge: str) -> None: ...

    def close(self) -> None: ...


WaitFor = Callable[[Callable[[], bool], str], None]
Running = Callable[[Sequence[str], str, Path], AbstractContextManager[int]]


@dataclass(frozen=True)
class Scraped:
    """A short run that both Prometheus and the own scraper have watched."""

    prometheus: Prometheus
    scraper: Scraper
    axis: RunAxis
    broken_s: float
    end_s: float


@pytest.fixture(scope="module")
def scraped(
    prometheus_binary: Path,
    tmp_path_factory: pytest.TempPathFactory,
    start_app_page: Callable[[], AppPage],
    running: Running,
    wait_for: WaitFor,
) -> Iterator[Scraped]:
    folder = tmp_path_factory.mktemp("prometheus")
    metrics = LiveMetrics()
    metrics.set_fault("pg-slow", active=True)
    metrics.set_phase("surge", active=True)
    with ExitStack() as stack:
        page = start_app_page()
        stack.callback(page.close)
        exporter = stack.enter_context(Exporter(metrics))
        targets = {"gateway": page.url, "surgeproof": exporter.url}
        server = stack.enter_context(PrometheusServer(prometheus_binary, folder / "run", targets))
        # As often as it scrapes, for this test's sake.
        rules = folder / "run" / "rules.yml"
        rules.write_text(rules.read_text().replace("interval: 15s", "interval: 1s"))
        stack.enter_context(running(server.command, server.ready_url, folder / "server"))
        prometheus = stack.enter_context(Prometheus(server.url))
        wait_for(lambda: len(prometheus.instant("up == 1")) == 2, "a scrape of both targets")
        run = _watch(prometheus, page, metrics, folder)
        wait_for(lambda: bool(prometheus.instant("ALERTS")), "an evaluation of the alerts")
        yield run


def _watch(prometheus: Prometheus, page: AppPage, metrics: LiveMetrics, folder: Path) -> Scraped:
    t0, axis = time.monotonic(), RunAxis.starting_at(datetime.now(UTC))
    scraper = Scraper({"gateway": page.url}, folder, clock=SystemClock(), t0=t0)
    scraper.start()
    broken_s = 0.0
    for second in range(int(_CALM_S + _BROKEN_S)):
        if second == int(_CALM_S):
            page.break_edge(_BROKEN_EDGE)
            broken_s = time.monotonic() - t0
        sent = {"scheduled": 50.0 * second, "sent": 49.0 * second, "dropped": 1.0 * second}
        done = {"completed": 48.0 * second, "errors": 1.0, "in_flight": 2.0}
        metrics.note_pulse(0, {"t_s": second, **sent, **done, "p99_s": 0.2, "cpu_ratio": 0.3})
        time.sleep(1.0)
    scraper.stop()
    return Scraped(prometheus, scraper, axis, broken_s, time.monotonic() - t0)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(query, id=f"{panel.title}-{number}")
        for panel in dashboard_panels()
        for number, (query, _) in enumerate(panel.queries)
    ],
)
def test_every_dashboard_query_returns_data(scraped: Scraped, query: str) -> None:
    at_unix = scraped.axis.unix(scraped.end_s)
    assert scraped.prometheus.instant(query.replace("$__rate_interval", "5s"), at_unix)


def test_every_recording_rule_records_a_ratio(scraped: Scraped) -> None:
    windows = {length for row in BURN_WINDOWS for length in (row.long_s, row.short_s)}
    for window_s in windows:
        found = scraped.prometheus.instant(error_ratio_record(window_s))
        ratios = {key.label("slo"): value for key, value in found.items()}
        assert set(ratios) == {objective.name for objective in OBJECTIVES}
        # The page answers every second request with 503, and every second feed takes 300 ms.
        assert all(value == pytest.approx(0.5, abs=0.05) for value in ratios.values())


def test_half_of_all_requests_failing_fires_every_availability_alert(scraped: Scraped) -> None:
    firing = scraped.prometheus.instant('ALERTS{alertstate="firing"}')
    found = {(key.label("slo"), key.label("long_window")) for key in firing}
    expected = {
        (objective.name, window)
        for objective in OBJECTIVES
        for window in ("1h", "6h", "1d", "3d")
        # Half the feeds too slow burn a 5 % budget ten times too fast: below 14.4.
        if (objective.name, window) != ("feed-latency", "1h")
    }
    assert found == expected


def test_the_fault_band_metric_reaches_prometheus(scraped: Scraped) -> None:
    found = scraped.prometheus.instant("surgeproof_fault_active == 1")
    assert [key.label("fault") for key in found] == ["pg-slow"]


def _means(series: list[Series], window: Window) -> dict[str, float]:
    return {
        " ".join(line.labels): fmean(
            value for t_s, value in line.points if window.start_s <= t_s <= window.end_s
        )
        for line in series
        if any(window.start_s <= t_s <= window.end_s for t_s, _ in line.points)
    }


def test_prometheus_and_the_own_scrape_draw_the_same_panels(scraped: Scraped) -> None:
    # The calm part, past the first full range: there every rate is steady.
    window = Window("steady", 6.0, _CALM_S)
    theirs = scraped.prometheus.panels(scraped.axis, scraped.end_s)
    ours = panels_from_history(scraped.scraper.history, scraped.end_s)
    for panel in PANELS:
        expected = _means(theirs[panel.title], window)
        assert expected, panel.title
        # Prometheus extrapolates a range to its ends; both see the same counter a second apart.
        assert _means(ours[panel.title], window) == pytest.approx(expected, rel=0.2), panel.title


def test_points_lie_on_whole_seconds_of_the_run(scraped: Scraped) -> None:
    panels = scraped.prometheus.panels(scraped.axis, scraped.end_s)
    times = [t_s for lines in panels.values() for line in lines for t_s, _ in line.points]
    assert times == [float(round(t_s)) for t_s in times]
    assert max(times) == int(scraped.end_s)


@pytest.mark.parametrize("source", ["prometheus", "scrape"])
@pytest.mark.parametrize(("edge", "observed"), [(_BROKEN_EDGE, True), ("feed-graph", False)])
def test_a_fault_is_observed_on_its_edge_alone(
    scraped: Scraped, source: str, edge: str, observed: bool
) -> None:
    run = Window("run", 0.0, scraped.end_s)
    history = (
        scraped.scraper.history
        if source == "scrape"
        else scraped.prometheus.history(EDGE_METRICS, scraped.axis, run)
    )
    before = Window("before", 1.0, scraped.broken_s)
    during = Window("fault:x", scraped.broken_s, scraped.end_s)
    fault = Fault("x", edge, "down", scraped.broken_s, _BROKEN_S, {})
    effect = fault_effect(history, fault, before, during)
    assert effect.observed is observed, effect.detail


def test_a_query_that_is_no_promql_is_refused_with_its_text(scraped: Scraped) -> None:
    with pytest.raises(SurgeproofError, match=r"rate\(broken") as caught:
        scraped.prometheus.instant("rate(broken")
    assert not isinstance(caught.value, EnvironmentNotReadyError)


def test_a_metric_that_nobody_exports_is_empty_and_no_error(scraped: Scraped) -> None:
    assert scraped.prometheus.instant("app_no_such_metric") == {}
    run = Window("run", 0.0, scraped.end_s)
    history = scraped.prometheus.history(("app_no_such_metric",), scraped.axis, run)
    assert list(history.select("app_no_such_metric")) == []
