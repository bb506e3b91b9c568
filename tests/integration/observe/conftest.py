"""Real servers for these tests: Prometheus, promtool and a page of the reference app's names."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

# Starting takes well under a second; a machine that runs other suites beside it is slower.
_READY_DEADLINE_S = 30.0
_BEAT_S = 0.05


def _binary(name: str) -> Path:
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    reason = f"{name} is not on PATH: install the Debian package prometheus"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def prometheus_binary() -> Path:
    return _binary("prometheus")


@pytest.fixture(scope="session")
def promtool() -> Path:
    return _binary("promtool")


class AppPage:
    """A metrics page with the reference app's names, counting on by itself.

    Each beat is one request of each kind; `break_edge` makes an edge's calls time out from then on.
    """

    def __init__(self) -> None:
        registry = CollectorRegistry()

        def counter(name: str, *labels: str) -> Counter:
            return Counter(name, name, labels, registry=registry)

        def gauge(name: str, *labels: str) -> Gauge:
            return Gauge(name, name, labels, registry=registry)

        def histogram(name: str, *labels: str) -> Histogram:
            buckets = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)
            return Histogram(name, name, labels, buckets=buckets, registry=registry)

        self._requests = counter(
            "app_http_requests_total", "service", "route", "method", "code", "tier", "degraded"
        )
        self._duration = histogram("app_http_request_duration_seconds", "service", "route", "tier")
        self._edge_requests = counter("app_edge_requests_total", "edge", "outcome")
        self._edge_duration = histogram("app_edge_duration_seconds", "edge")
        self._transitions = counter("app_breaker_transitions_total", "edge", "to")
        self._fallbacks = counter("app_fallback_total", "service", "feature", "mode", "edge")
        self._shed = counter("app_shed_total", "service", "tier", "reason")
        gauge("app_breaker_state", "edge").labels("graph-pg").set(2)
        gauge("app_admission_level", "service").labels("gateway").set(0.25)
        gauge("app_outbox_pending").set(3)
        gauge("app_stream_lag_messages", "stream", "consumer").labels("POSTS", "fanout").set(7)
        self._broken: set[str] = set()
        self._stopping = threading.Event()
        self._server, self._server_thread = start_http_server(0, "127.0.0.1", registry)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/metrics"

    def break_edge(self, edge: str) -> None:
        self._broken.add(edge)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._server.shutdown()
        self._server.server_close()
        self._server_thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_BEAT_S):
            for tier, route in (
                ("T0", "/v1/feed/home"),
                ("T1", "/v1/posts"),
                ("T2", "/v1/posts/{id}/like"),
                ("T3", "/v1/trending"),
            ):
                for code in ("200", "503"):
                    self._requests.labels("gateway", route, "GET", code, tier, "false").inc()
                self._duration.labels("gateway", route, tier).observe(0.04)
            self._duration.labels("gateway", "/v1/feed/home", "T0").observe(0.3)
            for edge in ("graph-pg", "feed-graph"):
                broken = edge in self._broken
                self._edge_requests.labels(edge, "timeout" if broken else "ok").inc()
                self._edge_duration.labels(edge).observe(0.25 if broken else 0.004)
            self._edge_requests.labels("feed-timeline", "error").inc()
            self._fallbacks.labels("feed", "feed", "pull", "feed-timeline").inc()
            self._shed.labels("gateway", "T3", "queue").inc()


@pytest.fixture(scope="session")
def start_app_page() -> Callable[[], AppPage]:
    """Starts a page; whoever calls it closes it."""
    return AppPage


@pytest.fixture
def app_page() -> Iterator[AppPage]:
    page = AppPage()
    yield page
    page.close()


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], bool], str], None]:
    return _wait_for


@pytest.fixture(scope="session")
def answers() -> Callable[[str], bool]:
    return _answers


@pytest.fixture(scope="session")
def running() -> Callable[[Sequence[str], str, Path], AbstractContextManager[int]]:
    return _running


def _wait_for(holds: Callable[[], bool], what: str, deadline_s: float = _READY_DEADLINE_S) -> None:
    """Poll until something holds, or fail with its name."""
    ends = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > ends:
            pytest.fail(f"{what} did not happen within {deadline_s:g}s")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310 - loopback
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def _running(command: Sequence[str], ready_url: str, folder: Path) -> Iterator[int]:
    """Run a server in a folder of its own from ready to ended; yields its pid."""
    folder.mkdir(parents=True, exist_ok=True)
    log_path = folder / "server.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:

        def is_ready() -> bool:
            if process.poll() is not None:
                pytest.fail(f"{command[0]} ended: {log_path.read_text()}")
            return _answers(ready_url)

        _wait_for(is_ready, f"{command[0]} ready")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
