"""The server's side of one run, from whichever source there is.

Order of use: `prepare` once the target is up (this starts a Prometheus where one is found),
`begin` once t0 is known, `collect` after the load and before the target is stopped, `close` last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from surgeproof.clock import Clock
from surgeproof.errors import EnvironmentNotReadyError, SurgeproofError
from surgeproof.journal.folder import RunFolder
from surgeproof.model.plan import Fault, Window
from surgeproof.observe.edge_effect import EDGE_METRICS, EdgeEffect, fault_effect
from surgeproof.observe.expressions import Series
from surgeproof.observe.history import History
from surgeproof.observe.prometheus_server import INSTALL_HINT, PrometheusServer, find_prometheus
from surgeproof.observe.scrape import Scraper
from surgeproof.observe.series import (
    SERVER_METRICS_FILE,
    panels_from_history,
    server_metrics,
)

if TYPE_CHECKING:
    from surgeproof.observe.prometheus import Prometheus

__all__ = ["HARNESS_PROCESS", "Observation", "ServerView", "StartExtra"]

# What starts a server beside the stack: name, command, URL that answers 200 when it is ready.
StartExtra = Callable[[str, Sequence[str], str], int]
# The label `process` of the harness' own page.
HARNESS_PROCESS = "surgeproof"
_FOLDER = "prometheus"


@dataclass(frozen=True, slots=True)
class ServerView:
    """What was seen of the servers: panels by title, the edges' raw readings, and plain notes.

    ``source`` is ``prometheus``, ``scrape`` or ``none``.
    """

    source: str
    panels: Mapping[str, list[Series]] = field(default_factory=dict)
    history: History = field(default_factory=History)
    notes: tuple[str, ...] = ()

    def write(self, folder: RunFolder) -> Path:
        """Write `server_metrics.json` into the run's folder."""
        return folder.write_json(SERVER_METRICS_FILE, server_metrics(self.source, self.panels))

    def effect(self, fault: Fault, before: Window, during: Window) -> EdgeEffect:
        """Judge whether a fault was felt on its edge; see `fault_effect`."""
        return fault_effect(self.history, fault, before, during)


class Observation:
    """One run's source of server-side metrics. Not safe to share between threads."""

    def __init__(self, folder: RunFolder, clock: Clock, metrics_urls: Mapping[str, str]) -> None:
        self._folder, self._clock = folder, clock
        self._metrics_urls = dict(metrics_urls)
        self._server: PrometheusServer | None = None
        self._prometheus: Prometheus | None = None
        self._scraper: Scraper | None = None
        self._scraped: History | None = None
        self._started_at: datetime | None = None
        self._notes: list[str] = []

    def prepare(
        self,
        *,
        start_extra: StartExtra | None,
        prometheus_url: str | None = None,
        harness_url: str | None = None,
        search_path: str | None = None,
    ) -> None:
        """Find or start a Prometheus; without one, remember to scrape.

        Raises:
            EnvironmentNotReadyError: ``prometheus_url`` was asked for and does not answer.
        """
        if prometheus_url is not None:
            self._prometheus = self._connect(prometheus_url)
            self._prometheus.instant("vector(1)")
            return
        if not self._metrics_urls:
            self._notes.append("the target names no metrics pages: there are no server-side charts")
            return
        binary = find_prometheus(search_path)
        if binary is None or start_extra is None:
            self._fall_back(f"there is no prometheus on PATH ({INSTALL_HINT})")
            return
        targets = dict(self._metrics_urls)
        if harness_url is not None:
            targets[HARNESS_PROCESS] = harness_url
        self._server = PrometheusServer(binary, self._folder.path / _FOLDER, targets)
        try:
            start_extra("prometheus", self._server.command, self._server.ready_url)
            self._prometheus = self._connect(self._server.url)
        except EnvironmentNotReadyError as error:
            self._fall_back(f"prometheus did not start: {error}")

    def begin(self, t0: float, started_at: datetime) -> None:
        """Start scraping where Prometheus does not: ``t0`` is the run's zero, monotonic and UTC."""
        self._started_at = started_at
        # A Prometheus of somebody else does not know the ports of this run's processes.
        if self._metrics_urls and (self._prometheus is None or self._server is None):
            self._scraper = Scraper(self._metrics_urls, self._folder.path, clock=self._clock, t0=t0)
            self._scraper.start()

    def collect(self, end_s: float) -> ServerView:
        """Return what was seen up to ``end_s``; a source that fails now is a note, no error."""
        if self._started_at is None:
            return ServerView("none", notes=tuple(self._notes))
        scraped = self._stop_scraping()
        if self._prometheus is not None:
            view = self._collect_prometheus(self._prometheus, self._started_at, end_s)
            if view is not None:
                return view if scraped is None else self._with_history(view, scraped)
        if scraped is None:
            return ServerView("none", notes=tuple(self._notes))
        return ServerView(
            "scrape", panels_from_history(scraped, end_s), scraped, tuple(self._notes)
        )

    def close(self) -> None:
        """End the scraper and let go of the server's port; safe to call twice."""
        self._stop_scraping()
        if self._prometheus is not None:
            self._prometheus.close()
        if self._server is not None:
            self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _connect(self, url: str) -> Prometheus:
        # Here and below, not at the top: the client library costs a fifth of a second to import,
        # and a run without Prometheus does not need it.
        from surgeproof.observe.prometheus import Prometheus  # noqa: PLC0415

        return Prometheus(url)

    def _fall_back(self, why: str) -> None:
        self._notes.append(f"{why}: server-side charts come from the harness' own scrape")

    def _stop_scraping(self) -> History | None:
        """End the scraper if it runs; return what was scraped, None if nothing ever was."""
        if self._scraper is not None:
            self._scraper.stop()
            self._scraped = self._scraper.history
            for process, failed in self._scraper.failures.items():
                if failed:
                    total = failed + self._scraper.pages[process]
                    self._notes.append(f"{failed} of {total} scrapes of {process} failed")
            self._scraper = None
        return self._scraped

    def _collect_prometheus(
        self, prometheus: Prometheus, started_at: datetime, end_s: float
    ) -> ServerView | None:
        from surgeproof.observe.prometheus import RunAxis  # noqa: PLC0415

        axis = RunAxis.starting_at(started_at)
        try:
            panels = prometheus.panels(axis, end_s)
            history = prometheus.history(EDGE_METRICS, axis, Window("run", 0.0, end_s))
        except SurgeproofError as error:
            self._notes.append(f"prometheus could not be asked: {error}")
            return None
        if not any(panels.values()):
            self._notes.append(f"{prometheus.url} has no series of the target")
            return None
        return ServerView("prometheus", panels, history, tuple(self._notes))

    def _with_history(self, view: ServerView, scraped: History) -> ServerView:
        """Prefer own raw readings, once a second, to those of a Prometheus that may be slower."""
        return ServerView(view.source, view.panels, scraped, view.notes)
