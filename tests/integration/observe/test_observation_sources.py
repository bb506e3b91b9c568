"""One run's server-side view from each source that there can be."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest

from surgeproof.clock import SystemClock
from surgeproof.errors import EnvironmentNotReadyError, TargetNotReadyError
from surgeproof.journal.folder import RunFolder
from surgeproof.observe.observation import Observation, ServerView
from surgeproof.observe.prometheus import Prometheus

pytestmark = pytest.mark.integration

_RUN_S = 4.0


class AppPage(Protocol):
    """What these tests use of the page that `conftest.py` serves."""

    @property
    def url(self) -> str: ...


WaitFor = Callable[[Callable[[], bool], str], None]
Running = Callable[[Sequence[str], str, Path], AbstractContextManager[int]]


class _Stack:
    """Starts extra servers as the real stack does: each in a folder of its own."""

    def __init__(self, folder: Path, stack: ExitStack, running: Running) -> None:
        self._folder, self._stack, self._running = folder, stack, running

    def start_extra(self, name: str, command: Sequence[str], ready_url: str) -> int:
        return self._stack.enter_context(self._running(command, ready_url, self._folder / name))


def _broken_start(name: str, command: Sequence[str], ready_url: str) -> int:
    raise TargetNotReadyError(f"{name} died")


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", "observe", datetime.now(UTC))


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _watch(observation: Observation) -> ServerView:
    started_at = datetime.now(UTC)
    observation.begin(time.monotonic(), started_at)
    time.sleep(_RUN_S)
    return observation.collect(_RUN_S)


def _charts(view: ServerView, folder: RunFolder) -> dict[str, list[dict[str, object]]]:
    content = json.loads(view.write(folder).read_text())
    assert content["source"] == view.source
    return {panel["title"]: panel["series"] for panel in content["panels"]}


def _closed_port() -> tuple[socket.socket, int]:
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder, holder.getsockname()[1]


@pytest.mark.prometheus
def test_a_prometheus_on_path_is_started_and_asked(
    prometheus_binary: Path,
    app_page: AppPage,
    run_folder: RunFolder,
    tmp_path: Path,
    cleanup: ExitStack,
    running: Running,
    wait_for: WaitFor,
) -> None:
    observation = Observation(run_folder, SystemClock(), {"gateway": app_page.url})
    cleanup.callback(observation.close)
    observation.prepare(
        start_extra=_Stack(tmp_path, cleanup, running).start_extra,
        search_path=str(prometheus_binary.parent),
    )
    server = observation._server
    assert server is not None
    with Prometheus(server.url) as prometheus:
        wait_for(lambda: bool(prometheus.instant("up == 1")), "a first scrape")
    view = _watch(observation)
    assert (view.source, view.notes) == ("prometheus", ())
    assert _charts(view, run_folder)["Requests by service"]
    assert not (run_folder.path / "scrapes.jsonl").exists()


def test_without_prometheus_the_own_scrape_fills_the_charts_and_a_note_says_so(
    app_page: AppPage, run_folder: RunFolder, tmp_path: Path
) -> None:
    with Observation(run_folder, SystemClock(), {"gateway": app_page.url}) as observation:
        observation.prepare(start_extra=_broken_start, search_path=str(tmp_path))
        view = _watch(observation)
    assert view.source == "scrape"
    assert any("no prometheus on PATH" in note for note in view.notes)
    assert _charts(view, run_folder)["Requests by service"]


@pytest.mark.prometheus
def test_a_prometheus_that_does_not_start_costs_the_run_nothing_but_a_note(
    prometheus_binary: Path, app_page: AppPage, run_folder: RunFolder
) -> None:
    with Observation(run_folder, SystemClock(), {"gateway": app_page.url}) as observation:
        observation.prepare(start_extra=_broken_start, search_path=str(prometheus_binary.parent))
        view = _watch(observation)
    assert view.source == "scrape"
    assert any("prometheus died" in note for note in view.notes)


def test_a_prometheus_url_that_does_not_answer_is_an_environment_error(
    run_folder: RunFolder,
) -> None:
    holder, port = _closed_port()
    observation = Observation(run_folder, SystemClock(), {})
    with (
        holder,
        observation,
        pytest.raises(EnvironmentNotReadyError, match=f"127.0.0.1:{port}"),
    ):
        observation.prepare(start_extra=None, prometheus_url=f"http://127.0.0.1:{port}")


def test_a_page_that_is_no_prometheus_is_an_environment_error(
    app_page: AppPage, run_folder: RunFolder
) -> None:
    # It answers 200 to any path, with a metrics page.
    url = app_page.url.removesuffix("/metrics")
    observation = Observation(run_folder, SystemClock(), {})
    with observation, pytest.raises(EnvironmentNotReadyError, match="no Prometheus answers"):
        observation.prepare(start_extra=None, prometheus_url=url)


def test_a_target_without_metrics_pages_is_said_so_and_nothing_is_drawn(
    run_folder: RunFolder,
) -> None:
    with Observation(run_folder, SystemClock(), {}) as observation:
        observation.prepare(start_extra=None)
        observation.begin(time.monotonic(), datetime.now(UTC))
        view = observation.collect(1.0)
    assert view.source == "none"
    assert any("names no metrics pages" in note for note in view.notes)
    assert not any(_charts(view, run_folder).values())
