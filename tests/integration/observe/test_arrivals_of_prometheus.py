"""A plan whose arrivals are a query, asked of a real Prometheus (about three seconds)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import yaml

from surgeproof.errors import PlanError
from surgeproof.load.schedule import build_schedule
from surgeproof.model.plan import Plan
from surgeproof.observe.prometheus_server import PrometheusServer
from surgeproof.plan import load_plan

pytestmark = [pytest.mark.integration, pytest.mark.prometheus]

PLAN = """\
version: 1
name: replayed
seed: 7
target: {driver: external, base_url: "http://127.0.0.1:9"}
load:
  file: scenario.py
  phases:
    - name: surge
      duration: 10s
      arrivals:
        prometheus:
          url: "%s"
          query: "%s"
          start: %s
          end: 2026-01-31T18:10:00Z
          step: 1m
          over: 10s
"""
Running = Callable[[Sequence[str], str, Path], AbstractContextManager[int]]
START = "2026-01-31T18:00:00Z"


@pytest.fixture(scope="module")
def url(
    prometheus_binary: Path, tmp_path_factory: pytest.TempPathFactory, running: Running
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("asked")
    with (
        PrometheusServer(prometheus_binary, folder / "run", {}) as server,
        running(server.command, server.ready_url, folder / "server"),
    ):
        yield server.url


def read(folder: Path, url: str, query: str, start: str = START) -> Plan:
    (folder / "scenario.py").write_text("")
    (folder / "plan.yaml").write_text(PLAN % (url, query, start))
    return load_plan(folder / "plan.yaml")


def test_a_query_becomes_a_schedule_that_needs_prometheus_only_once(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Ten minutes of a rate that rises by 6/s each minute, from 0/s.
    plan = read(tmp_path, url, "(vector(time()) - 1769882400) / 10")
    schedule = build_schedule(plan.load, plan.seed)
    assert len(schedule) == 300
    assert schedule.per_second().tolist() == [3, 9, 15, 21, 27, 33, 39, 45, 51, 57]

    run = tmp_path / "run"
    run.mkdir()
    (run / "effective.yaml").write_text(plan.effective)
    for name, text in plan.arrival_files.items():
        (run / name).write_text(text)
    part = yaml.safe_load(plan.effective)["load"]["phases"][0]["arrivals"]["prometheus"]
    assert set(part) == {"file", "over", "sha256"}
    again = load_plan(run / "effective.yaml")
    assert build_schedule(again.load, again.seed).sha256 == schedule.sha256


@pytest.mark.parametrize(
    ("query", "start", "message"),
    [
        ("label_replace(vector(1), 'a', 'b', '', '') or vector(2)", START, "holds 2 series"),
        ("nothing", START, "holds 0 series; accepted: one"),
        ("vector(-1)", START, "value 0 of the series: '-1.0' is no rate"),
        ("vector(0) / 0", START, "value 0 of the series: 'nan' is no rate"),
        ("sum(", START, "prometheus.url: http"),
        ("vector(1)", "2026-02-01T00:00:00Z", "is not after 2026-02-01T00:00:00Z"),
        ("vector(1)", "yesterday", "'yesterday' is no moment"),
    ],
)
def test_a_query_that_gives_no_rates_is_a_mistake_of_the_plan(
    url: str, tmp_path: Path, query: str, start: str, message: str
) -> None:
    with pytest.raises(PlanError) as caught:
        read(tmp_path, url, query, start)
    assert any(message in str(mistake) for mistake in caught.value.mistakes), caught.value


def test_a_prometheus_that_does_not_answer_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"plan\.yaml:12:16: .*no Prometheus answers at"):
        read(tmp_path, "http://127.0.0.1:1", "vector(1)")
