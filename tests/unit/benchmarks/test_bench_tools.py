"""How the tools are started, and what their own output says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.job import Job, Teller, Work
from benchmarks.stall import ResponseTimes
from benchmarks.tools.k6 import K6, K9Plan, K9Script
from benchmarks.tools.locust_peers import LocustPeer
from benchmarks.tools.native import Hey, Oha, Vegeta, Wrk
from benchmarks.tools.ours import Surgeproof
from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.load.handover import LoadOrder

FAST = LocustPeer("fast", "FastHttpUser")


def test_locusts_rounded_counts_become_quantiles(job: Job) -> None:
    entry = {
        "response_times": {"2": 60, "1000": 35, "500": 4, "2000": 1},
        "max_response_time": 2010.5,
    }
    (job.folder / "stdout.txt").write_text("some words\n" + json.dumps([entry], indent=4))
    assert FAST.reported(job) == ResponseTimes(100, 0.002, 1.0, 1.0, 2.0105)


@pytest.mark.parametrize(
    ("tool", "output"),
    [
        (FAST, "[]"),
        (Hey(Path("hey")), "50% in 0.1 secs"),
    ],
)
def test_a_run_without_requests_is_no_result(job: Job, tool: Teller, output: str) -> None:
    (job.folder / "stdout.txt").write_text(output)
    with pytest.raises(EnvironmentNotReadyError, match="reports no"):
        tool.reported(job)


def test_hey_reports_its_printed_summary(job: Job) -> None:
    (job.folder / "stdout.txt").write_text(
        "  Slowest:\t1.9000 secs\n  50% in 0.0003 secs\n  90% in 0.0013 secs\n"
        "  99% in 1.5000 secs\n  [200]\t190 responses\n  [503]\t10 responses\n"
    )
    assert Hey(Path("hey")).reported(job) == ResponseTimes(200, 0.0003, 0.0013, 1.5, 1.9)


def test_oha_reports_its_json(job: Job) -> None:
    data = {
        "latencyPercentiles": {"p50": 0.1, "p90": 0.2, "p99": 0.3},
        "summary": {"slowest": 0.4},
        "statusCodeDistribution": {"200": 7},
    }
    (job.folder / "stdout.txt").write_text(json.dumps(data))
    assert Oha(Path("oha")).reported(job) == ResponseTimes(7, 0.1, 0.2, 0.3, 0.4)


@pytest.mark.parametrize("tool", [K6(Path("k6")), K9Plan(Path("k9")), K9Script(Path("k9"))])
def test_k6_and_k9_report_their_own_summary(job: Job, tool: Teller) -> None:
    took = {"med": 0.5, "p(90)": 1000.0, "p(99)": 1900.0, "max": 2000.0}
    summary = {"metrics": {"http_req_duration": took, "http_reqs": {"count": 200}}}
    (job.folder / "summary.json").write_text(json.dumps(summary))
    assert tool.reported(job) == ResponseTimes(200, 0.0005, 1.0, 1.9, 2.0)


def test_locusts_users_share_the_rate(job: Job) -> None:
    launch = FAST.launch(job)
    assert launch.environment["BENCHMARK_RATE_PER_USER"] == "5"
    assert launch.command[launch.command.index("--users") + 1] == "20"
    closed = FAST.launch(replace(job, rate_per_s=None))
    assert "BENCHMARK_RATE_PER_USER" not in closed.environment


def test_a_closed_loop_bounds_vegetas_workers_and_an_open_one_only_on_request(job: Job) -> None:
    closed = Vegeta(Path("vegeta")).launch(replace(job, rate_per_s=None)).command
    assert closed[closed.index("-rate") + 1] == "0"
    assert closed[closed.index("-max-workers") + 1] == "20"
    opened = Vegeta(Path("vegeta")).launch(job).command
    assert opened[opened.index("-rate") + 1] == "100"
    assert "-max-workers" not in opened
    assert "-connections" in Vegeta(Path("vegeta"), is_bounded=True).launch(job).command


def test_settings_of_the_caller_do_not_reach_a_peer(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUST_USERS", "7")
    monkeypatch.setenv("K6_VUS", "7")
    for tool in (FAST, K6(Path("k6")), Wrk(Path("wrk"))):
        assert not {"LOCUST_USERS", "K6_VUS"} & set(tool.launch(job).environment)


def test_our_closed_row_has_as_many_under_way_as_others_have_users(job: Job) -> None:
    launch = Surgeproof("ours_requests.py", saturating_per_s=1000.0).launch(
        replace(job, rate_per_s=None)
    )
    order = LoadOrder.read(job.folder / "load.json")
    assert launch.stop_after_s is not None
    assert (order.load.connections, order.load.max_in_flight) == (20, 20)


def test_our_open_row_runs_with_the_plans_defaults_to_its_own_end(job: Job) -> None:
    launch = Surgeproof("ours_requests.py").launch(job)
    order = LoadOrder.read(job.folder / "load.json")
    assert launch.stop_after_s is None
    assert (order.load.connections, order.load.workers) == (1000, 1)
    assert order.samples == job.folder / "samples"


def test_two_workers_are_a_master_with_two_companions(job: Job) -> None:
    launch = Surgeproof("ours_requests.py", workers=2).launch(job)
    assert "--master" in launch.command
    assert len(launch.companions) == 2
    for command, environment in launch.companions:
        assert "--worker" in command
        # A worker has its order from its master alone.
        assert "SURGEPROOF_LOAD" not in environment


def test_a_stateful_journey_is_a_session(job: Job) -> None:
    Surgeproof("ours_journeys.py").launch(replace(job, work=Work.JOURNEY))
    assert LoadOrder.read(job.folder / "load.json").load.unit == "session"
