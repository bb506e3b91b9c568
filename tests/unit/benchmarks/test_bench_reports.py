"""What the tools say of a run, read from their own output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import choose_tools
from benchmarks.stall import ResponseTimes
from benchmarks.tools import K6, FastHttp, Job, Surgeproof
from surgeproof.errors import EnvironmentNotReadyError, MissingBinaryError


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("http://127.0.0.1:1", 100.0, 2.0, tmp_path)


def test_locusts_rounded_counts_become_quantiles(job: Job) -> None:
    entry = {
        "response_times": {"2": 60, "1000": 35, "500": 4, "2000": 1},
        "max_response_time": 2010.5,
    }
    (job.folder / "stdout.txt").write_text("some words\n" + json.dumps([entry], indent=4))
    assert FastHttp(users=20).reported(job) == ResponseTimes(100, 0.002, 1.0, 1.0, 2.0105)


def test_a_locust_run_without_requests_is_no_result(job: Job) -> None:
    (job.folder / "stdout.txt").write_text("[]")
    with pytest.raises(EnvironmentNotReadyError, match="reports no request"):
        FastHttp(users=20).reported(job)


def test_locusts_users_share_the_rate(job: Job) -> None:
    launch = FastHttp(users=20).launch(job)
    assert launch.environment["BENCHMARK_RATE_PER_USER"] == "5"
    assert launch.command[launch.command.index("--users") + 1] == "20"


def test_k6_reports_its_own_summary(job: Job) -> None:
    took = {"med": 0.5, "p(90)": 1000.0, "p(99)": 1900.0, "max": 2000.0}
    summary = {"metrics": {"http_req_duration": took, "http_reqs": {"count": 200}}}
    (job.folder / "summary.json").write_text(json.dumps(summary))
    assert K6(Path("k6"), users=5).reported(job) == ResponseTimes(200, 0.0005, 1.0, 1.9, 2.0)


def test_settings_of_the_caller_do_not_reach_a_peer(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUST_USERS", "7")
    monkeypatch.setenv("K6_VUS", "7")
    for tool in (FastHttp(users=20), K6(Path("k6"), users=5)):
        assert not {"LOCUST_USERS", "K6_VUS"} & set(tool.launch(job).environment)


def test_without_k6_its_rows_are_left_out_and_the_reason_is_kept() -> None:
    def find_nothing() -> Path:
        raise MissingBinaryError("k6 is not installed")

    field = choose_tools(find_nothing)
    assert field.skipped == {"k6": "k6 is not installed"}
    assert field.k6 is None
    names = [tool.name for tool in (*field.open, *field.stall)]
    assert "surgeproof" in names
    assert "k6" not in names


def test_with_k6_it_takes_part_in_both_measurements() -> None:
    field = choose_tools(lambda: Path("k6"))
    assert not field.skipped
    assert "k6" in [tool.name for tool in field.open]
    assert "k6" in [tool.name for tool in field.stall]


@pytest.mark.parametrize(
    ("printed", "timer"),
    [
        ("alarm: TimerAlarm\n", "timerfd"),
        ("alarm: LoopAlarm\n", "loop timer"),
        ("nothing\n", "unknown"),
    ],
)
def test_the_timer_is_named_as_the_engine_had_it(job: Job, printed: str, timer: str) -> None:
    (job.folder / "stdout.txt").write_text(printed)
    assert Surgeproof.timer(job) == timer
