"""Launch day itself, in full: the healthy app passes, and without its fallback it does not."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from surgeproof.journal.samples import read_samples
from surgeproof.load.schedule import build_schedule
from surgeproof.plan import load_plan
from surgeproof.schemas import read_schema

pytestmark = pytest.mark.e2e

# What the conftest's fixtures make; its classes cannot be imported from here.
Rehearsal = Any
Start = Callable[..., Rehearsal]

PLAN = Path("scenarios/launch_day.yaml")
WHOLE_RUN_S = 300.0
# The promise is a line every 5 s; the rest is a busy machine's.
LONGEST_SILENCE_S = 6.0
FILES = (
    "result.json",
    "report.html",
    "junit.xml",
    "summary.md",
    "metrics.txt",
    "effective.yaml",
    "provenance.json",
    "events.jsonl",
)


@pytest.fixture(scope="module")
def launch_day(
    start_shared_rehearsal: Start, tmp_path_factory: pytest.TempPathFactory
) -> Rehearsal:
    """The one whole rehearsal that the tests below look at."""
    run = start_shared_rehearsal(PLAN, tmp_path_factory.mktemp("launch-day") / "runs")
    run.wait(WHOLE_RUN_S)
    return run


def test_the_healthy_app_passes(launch_day: Rehearsal) -> None:
    assert launch_day.process.returncode == 0, launch_day.stdout + launch_day.stderr
    assert launch_day.stdout.startswith("GO  launch-day\n")
    assert f"report: {launch_day.folder / 'report.html'}" in launch_day.stdout
    assert launch_day.result()["verdict"] == {"status": "pass", "words": "GO", "reasons": []}


def test_progress_is_shown_all_the_time(launch_day: Rehearsal) -> None:
    times = [launch_day.started_s, *(line.at_s for line in launch_day.lines)]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert max(gaps) < LONGEST_SILENCE_S
    for word in ("phase: surge", "fault redis-down is in force", "offered", "p99", "left"):
        assert word in launch_day.stderr


def test_three_faults_of_15_s_are_felt_and_recovered_from(launch_day: Rehearsal) -> None:
    result = launch_day.result()
    faults = sorted(result["faults"], key=lambda fault: fault["applied_at_s"])
    assert {fault["edge"] for fault in faults} == {"graph-pg", "feed-timeline", "worker-nats"}
    for fault in faults:
        assert fault["cleared_at_s"] - fault["applied_at_s"] >= 15
        assert fault["verified"]
        assert fault["observed"]
    begins = [*(fault["applied_at_s"] for fault in faults[1:]), result["run"]["duration_s"]]
    for fault, next_s in zip(faults, begins, strict=True):
        assert next_s - fault["cleared_at_s"] >= 10
    assert all(recovery["time_s"] is not None for recovery in result["recovery"])


def test_arrivals_and_requests_add_up(launch_day: Rehearsal) -> None:
    result = launch_day.result()
    arrivals, requests = result["arrivals"], result["requests"]
    assert arrivals["scheduled"] == arrivals["sent"] + arrivals["dropped"]
    assert requests["completed"] >= 5000
    assert requests["sent"] == requests["completed"] + requests["unfinished"]
    samples = read_samples(launch_day.folder / "samples")
    assert len(samples) == sum(endpoint["count"] for endpoint in result["endpoints"])


def test_the_same_seed_schedules_the_same_arrivals(launch_day: Rehearsal) -> None:
    plan = load_plan(PLAN)
    schedule = build_schedule(plan.load, plan.seed)
    assert launch_day.result()["arrivals"]["schedule_sha256"] == schedule.sha256
    assert build_schedule(plan.load, plan.seed + 1).sha256 != schedule.sha256
    assert 70 <= schedule.per_second().max() <= 90


def test_other_faults_change_nothing_about_the_arrivals(
    start_rehearsal: Start, launch_day: Rehearsal, tmp_path: Path
) -> None:
    other = ("faults.pg-slow.latency=60ms", "faults.stream-reset.for=12s")
    settings = [word for each in other for word in ("--set", each)]
    run = start_rehearsal(PLAN, tmp_path / "runs", *settings)
    # What is to be sent is known by now, and what becomes of it is not the matter here.
    run.wait_for_event("phase.started")
    run.send(signal.SIGTERM)
    assert run.wait() == 143
    assert "latency: 60ms" in (run.folder / "effective.yaml").read_text(encoding="utf-8")
    seen = [each.result()["arrivals"]["schedule_sha256"] for each in (run, launch_day)]
    assert seen[0] == seen[1]


def test_nothing_acknowledged_is_lost(launch_day: Rehearsal) -> None:
    posts = launch_day.result()["ledger"]["post"]
    assert posts["acked"] > 200
    assert posts["present"] == posts["acked"]
    assert (posts["lost"], posts["duplicated"], posts["unread"]) == (0, 0, 0)


def test_the_home_feed_degrades_and_says_so_while_its_store_is_gone(launch_day: Rehearsal) -> None:
    cells = launch_day.result()["degradation"]
    (cell,) = (
        each
        for each in cells
        if (each["endpoint"], each["fault"]) == ("GET /v1/feed/home", "redis-down")
    )
    assert cell["during"]["degraded_ratio"] > 0.9
    assert cell["during"]["error_ratio"] < 0.01
    assert cell["before"]["degraded_ratio"] < 0.1


def test_the_run_folder_holds_what_it_promises(launch_day: Rehearsal) -> None:
    for name in FILES:
        assert (launch_day.folder / name).stat().st_size > 0, name
    for folder, least in (("samples", 2), ("logs", len(launch_day.processes()))):
        assert len(list((launch_day.folder / folder).iterdir())) >= least
    jsonschema.validate(launch_day.result(), read_schema("result"))
    assert (launch_day.runs / "latest").resolve() == launch_day.folder
    provenance = json.loads((launch_day.folder / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["seed"] == load_plan(PLAN).seed
    assert provenance["versions"]["locust"]


def test_the_report_says_the_verdict_and_fits_into_its_budget(launch_day: Rehearsal) -> None:
    page = (launch_day.folder / "report.html").read_text(encoding="utf-8")
    assert "GO" in page
    assert "redis-down" in page
    assert len(page.encode()) <= 550_000


def test_the_servers_side_is_in_the_report(launch_day: Rehearsal) -> None:
    metrics = json.loads((launch_day.folder / "server_metrics.json").read_text(encoding="utf-8"))
    assert metrics["source"] in {"prometheus", "scrape"}
    assert sum(len(panel["series"]) for panel in metrics["panels"]) > 10


def test_a_report_made_again_is_the_same_to_the_byte(launch_day: Rehearsal, root: Path) -> None:
    from surgeproof.cli import main

    report = launch_day.folder / "report.html"
    before = report.read_bytes()
    assert main(["report", str(launch_day.folder)]) == 0
    assert report.read_bytes() == before


def test_nothing_is_left_behind(launch_day: Rehearsal) -> None:
    assert launch_day.left_behind() == {}


@pytest.mark.full
def test_without_the_fallback_the_same_rehearsal_is_a_no_go(
    start_rehearsal: Start, tmp_path: Path
) -> None:
    run = start_rehearsal(
        PLAN, tmp_path / "runs", "--set", "target.env.APP_FALLBACK_OFF=feed-timeline"
    )
    assert run.wait(WHOLE_RUN_S) == 3, run.stdout
    assert run.stdout.startswith("NO-GO  launch-day\n")
    assert "gate_failed: errors rate T0 @ fault:redis-down" in run.stdout
    failed = {gate["id"]: gate for gate in run.result()["gates"] if gate["status"] == "fail"}
    assert failed["errors rate T0 @ fault:redis-down"]["value"] > 0.5
    assert failed["errors rate T0 @ fault:redis-down"]["window"]["name"] == "fault:redis-down"
    breaches = [event for event in run.events() if event["event"] == "gate.breached"]
    assert any("fault:redis-down" in breach["message"] for breach in breaches)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "NO-GO" in page
    plan = load_plan(PLAN)
    same = build_schedule(plan.load, plan.seed).sha256
    assert run.result()["arrivals"]["schedule_sha256"] == same
    assert run.left_behind() == {}
