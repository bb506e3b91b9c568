"""The own scraper and the exporter over real sockets."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from surgeproof.clock import SystemClock
from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.observe.exporter import Exporter, LiveMetrics
from surgeproof.observe.exposition import Exposition
from surgeproof.observe.history import History
from surgeproof.observe.scrape import SCRAPES_FILE, Scraper, fetch_page, read_scrapes

pytestmark = pytest.mark.integration

_DEADLINE_S = 0.5
# A scrape that ends late may take a read's own timeout on top, and a busy machine some more.
_PATIENCE_S = 2.0


class AppPage(Protocol):
    """What these tests use of the page that `conftest.py` serves."""

    @property
    def url(self) -> str: ...


class _Odd(http.server.BaseHTTPRequestHandler):
    """Answers in ways that a scraper must survive."""

    def do_GET(self) -> None:
        body = b"app_a 1\n" * 8
        self.send_response(500 if self.path == "/failing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path == "/silent":
            time.sleep(_PATIENCE_S)
        elif self.path == "/short":
            self.wfile.write(body[:-16])
        elif self.path == "/dribbling":
            for byte in body:
                self.wfile.write(bytes((byte,)))
                self.wfile.flush()
                time.sleep(0.1)
        else:
            self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            return  # the scraper has hung up, as it should

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base
        """Keep quiet."""


@contextmanager
def _odd_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/failing", "answered 500"),
        ("/silent", "timed out"),
        ("/dribbling", "timed out"),
        ("/short", "cut short"),
    ],
)
def test_a_page_that_cannot_be_had_is_an_error_within_its_deadline(path: str, part: str) -> None:
    with _odd_server() as url:
        started = time.monotonic()
        with pytest.raises(EnvironmentNotReadyError, match=part):
            fetch_page(url + path, _DEADLINE_S, clock=SystemClock())
        assert time.monotonic() - started < _DEADLINE_S + _PATIENCE_S


def test_a_refused_connection_is_an_error() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))  # bound, never listening: refused for certain
        url = f"http://127.0.0.1:{holder.getsockname()[1]}/metrics"
        with pytest.raises(EnvironmentNotReadyError, match="cannot be scraped"):
            fetch_page(url, _DEADLINE_S, clock=SystemClock())


def test_a_healthy_page_is_scraped_on_time_while_another_hangs(
    app_page: AppPage, tmp_path: Path, wait_for: Callable[[Callable[[], bool], str], None]
) -> None:
    clock = SystemClock()
    with _odd_server() as odd:
        targets = {"app": app_page.url, "odd": f"{odd}/silent"}
        scraper = Scraper(
            targets, tmp_path, clock=clock, t0=clock.monotonic(), interval_s=0.2, deadline_s=0.1
        )
        scraper.start()
        try:
            wait_for(lambda: scraper.pages["app"] >= 5, "five scrapes")
        finally:
            scraper.stop()
    assert scraper.pages["odd"] == 0
    assert scraper.failures["odd"] >= 1
    assert _calls(read_scrapes(tmp_path / SCRAPES_FILE)) == _calls(scraper.history)


def _calls(history: History) -> dict[str, list[float]]:
    return {
        f"{key.label('edge')} {key.label('outcome')}": track.values
        for key, track in history.select("app_edge_requests_total")
    }


def test_the_exporter_serves_what_is_set_and_ends_when_told(
    answers: Callable[[str], bool],
) -> None:
    metrics = LiveMetrics()
    with Exporter(metrics) as exporter:
        metrics.set_fault("redis-down", active=True)
        page = fetch_page(exporter.url, _PATIENCE_S, clock=SystemClock())
        (reading,) = Exposition().read(page)
        assert (reading.key.labels, reading.value) == ((("fault", "redis-down"),), 1.0)
        assert not answers(exporter.url.replace("/metrics", "/other"))
        url = exporter.url
    assert not answers(url)
