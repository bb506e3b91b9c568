"""The reference app's real pages: what its processes export is what is drawn and judged."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path

import pytest

from surgeproof.clock import SystemClock
from surgeproof.faults.toxiproxy import ToxiproxyServer
from surgeproof.journal.folder import RunFolder
from surgeproof.model.plan import Fault, Window
from surgeproof.observe.observation import Observation, ServerView
from surgeproof.stack import ProcessStack, RunningStack, read_definition

pytestmark = pytest.mark.integration

_STACK_FILE = Path(__file__).parents[3] / "target_app" / "stack.toml"
# Without the entry: what is looked at here are the processes behind it.
_PROCESSES = ("identity", "graph", "feed", "side", "worker")
_SERVERS = ("postgres", "redis-cache", "redis-timeline", "nats", "toxiproxy")
_CALM_S, _FAULT_S = 7.0, 5.0
_PAUSE_S = 0.02
_VIEWERS, _TRIES = 50, 20
_LATENCY_MS = 40
# Own scraping needs no start; a Prometheus finds its targets within 5 s of its own.
_DISCOVERY_S = 6.0


class _NoGuardian:
    """This stack is taken down by its fixture."""

    def wrap(self, command: Sequence[str], name: str) -> list[str]:
        return list(command)

    def gone(self, pid: int) -> None:
        """Nothing is told to anybody."""


@dataclass(frozen=True)
class _Watched:
    """A short run with a latency fault on ``feed-timeline``."""

    view: ServerView
    before: Window
    during: Window

    def observed(self, edge: str) -> bool | None:
        fault = Fault("slow", edge, "latency", 0, _FAULT_S, {"latency": _LATENCY_MS})
        return self.view.effect(fault, self.before, self.during).observed


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    whole = read_definition(_STACK_FILE)
    definition = replace(
        whole,
        entry="feed",
        processes=tuple(process for process in whole.processes if process.name in _PROCESSES),
        servers=tuple(server for server in whole.servers if server.name in _SERVERS),
        edges=tuple(edge for edge in whole.edges if edge.source in _PROCESSES),
    )
    folder = RunFolder.create(tmp_path_factory.mktemp("runs"), "observe", datetime.now(UTC))
    stack = ProcessStack(
        definition,
        seed=1,
        run_folder=folder,
        guardian=_NoGuardian(),
        env={},
        clock=SystemClock(),
    )
    with stack as running:
        yield running


def _viewers(identity: HTTPConnection) -> list[int]:
    """Return some users' ids; on a busy machine a cold process may need a second call."""
    viewers = []
    for number in range(_VIEWERS):
        for _ in range(_TRIES):
            identity.request("GET", f"/internal/users/by-handle/u{number:05}")
            response = identity.getresponse()
            body = response.read()
            if response.status == HTTPStatus.OK:
                viewers.append(json.loads(body)["user_id"])
                break
            time.sleep(_PAUSE_S)
    assert len(viewers) == _VIEWERS
    return viewers


@contextmanager
def _readers(running: RunningStack) -> Iterator[None]:
    """Keep asking for feeds, one after another, until the block ends."""
    with closing(HTTPConnection("127.0.0.1", running.ports["identity"], timeout=5)) as identity:
        viewers = _viewers(identity)
    stopping = threading.Event()

    def read() -> None:
        with closing(HTTPConnection("127.0.0.1", running.ports["feed"], timeout=5)) as feed:
            for viewer in cycle(viewers):
                if stopping.wait(_PAUSE_S):
                    return
                feed.request("GET", f"/internal/feed/{viewer}?limit=20")
                feed.getresponse().read()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _watch(running: RunningStack, folder: Path, *, search_path: str, wait_s: float) -> _Watched:
    run_folder = RunFolder.create(folder, "observe", datetime.now(UTC))
    assert running.toxiproxy_url is not None
    proxies = ToxiproxyServer(running.toxiproxy_url)
    with Observation(run_folder, SystemClock(), running.metrics_urls) as observation:
        observation.prepare(start_extra=running.start_extra, search_path=search_path)
        with _readers(running):
            time.sleep(wait_s)
            t0 = time.monotonic()
            observation.begin(t0, datetime.now(UTC))
            time.sleep(_CALM_S)
            proxies.add_toxic(
                "feed-timeline", "latency", name="slow", attributes={"latency": _LATENCY_MS}
            )
            start_s = time.monotonic() - t0
            time.sleep(_FAULT_S)
            proxies.remove_toxic("feed-timeline", "slow")
            end_s = time.monotonic() - t0
        view = observation.collect(end_s)
    before, during = Window("before", 0.0, start_s), Window("fault:slow", start_s, end_s)
    return _Watched(view, before, during)


def _check(watched: _Watched) -> None:
    assert watched.observed("feed-timeline") is True
    assert watched.observed("worker-moderation") is None  # nothing waits for review here
    panels = watched.view.panels
    services = {label for line in panels["Requests by service"] for label in line.labels}
    assert {"feed", "graph"} <= services
    for title in ("p99 request time by service", "Calls by edge", "p99 call time by edge"):
        assert panels[title], title
    for title in ("Outbox pending", "Stream lag by consumer", "Admission level by service"):
        assert panels[title], title


def test_own_scrapes_of_the_app_draw_its_panels_and_show_where_it_hurts(
    running: RunningStack, tmp_path: Path
) -> None:
    watched = _watch(running, tmp_path, search_path=str(tmp_path), wait_s=0)
    assert watched.view.source == "scrape"
    _check(watched)


@pytest.mark.prometheus
def test_prometheus_beside_the_app_draws_its_panels_and_shows_where_it_hurts(
    running: RunningStack, tmp_path: Path, prometheus_binary: Path
) -> None:
    watched = _watch(
        running, tmp_path, search_path=str(prometheus_binary.parent), wait_s=_DISCOVERY_S
    )
    assert (watched.view.source, watched.view.notes) == ("prometheus", ())
    _check(watched)
