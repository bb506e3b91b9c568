"""Trouble in every phase of a rehearsal: a clear word, the right exit code, nothing left behind."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.full]

# What the conftest's fixtures make; its classes cannot be imported from here.
Rehearsal = Any
Start = Callable[..., Rehearsal]

# The promise: nothing of ours this long after the harness is gone.
CLEAN_WITHIN_S = 5.0
# A harness that leaves at once needs no longer than this, on a busy machine too.
AT_ONCE_S = 1.5


def test_a_killed_harness_leaves_no_fault_and_no_process(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    run = start_rehearsal(short_plan, tmp_path / "runs")
    run.wait_for_event("fault.applied")
    stack = run.processes()
    assert set(stack.values()) < set(run.left_behind())
    run.send(signal.SIGKILL)
    run.wait_for_nothing_left(CLEAN_WITHIN_S)
    assert run.wait() == -signal.SIGKILL
    actions = [entry["action"] for entry in run.guardian()]
    undone = next(entry for entry in run.guardian() if entry["action"] == "fault.undone")
    assert undone["verified"] is True
    # Before the processes, for a proxy that outlives the harness must not stay broken.
    assert actions.index("fault.undone") < actions.index("process.term")
    assert run.guardian()[-1]["faults_left"] == []
    assert run.guardian()[-1]["processes_left"] == []
    assert_report_can_be_made(run)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_a_signal_in_mid_fault_removes_the_fault_and_still_reports(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    run = start_rehearsal(short_plan, tmp_path / "runs")
    run.wait_for_event("fault.applied")
    run.send(number)
    assert run.wait() == code
    assert_interrupted(run, code)
    (fault,) = run.result()["faults"]
    assert fault["verified"] is True
    assert fault["cleared_at_s"] < fault["planned_at_s"] + 4
    assert run.result()["requests"]["sent"] > 20


def test_ctrl_c_while_the_stack_starts(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    run = start_rehearsal(short_plan, tmp_path / "runs")
    run.wait_for_log("toxiproxy")
    run.send(signal.SIGINT)
    assert run.wait() == 130
    assert_interrupted(run, 130)
    assert run.result()["requests"]["sent"] == 0


def test_ctrl_c_while_the_load_is_prepared(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    run = start_rehearsal(short_plan, tmp_path / "runs")
    run.wait_for_event("stack.ready")
    run.wait_for_log("generator-0")
    run.send(signal.SIGINT)
    assert run.wait() == 130
    assert_interrupted(run, 130)


def test_ctrl_c_in_the_warm_up(start_rehearsal: Start, short_plan: Path, tmp_path: Path) -> None:
    run = start_rehearsal(short_plan, tmp_path / "runs")
    run.wait_for_event("phase.started")
    run.send(signal.SIGINT)
    assert run.wait() == 130
    assert_interrupted(run, 130)
    (fault,) = run.result()["faults"]
    assert fault["applied_at_s"] is None


def test_ctrl_c_during_the_read_back(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    run = start_rehearsal(short_plan, tmp_path / "runs")
    run.wait_for_log("read-back")
    run.send(signal.SIGINT)
    assert run.wait() == 130
    assert_interrupted(run, 130)


def test_ctrl_c_while_the_verdict_is_made(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    run = start_rehearsal(short_plan, tmp_path / "runs", "--set", "ledger=[]")
    run.wait_for_event("run.ended")
    run.send(signal.SIGINT)
    assert run.wait() == 130
    assert_interrupted(run, 130)
    assert run.result()["arrivals"]["sent"] == 160


def test_a_second_ctrl_c_leaves_at_once_and_the_guardian_cleans_up(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    run = start_rehearsal(short_plan, tmp_path / "runs")
    run.wait_for_event("fault.applied")
    run.send(signal.SIGINT)
    time.sleep(0.2)
    asked = time.monotonic()
    run.send(signal.SIGINT)
    assert run.wait() == 130
    assert time.monotonic() - asked < AT_ONCE_S
    run.wait_for_nothing_left(CLEAN_WITHIN_S)
    assert run.guardian()[-1]["faults_left"] == []
    assert run.guardian()[-1]["processes_left"] == []


def test_a_killed_generator_makes_the_run_void(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    run = start_rehearsal(short_plan, tmp_path / "runs")
    run.wait_for_event("fault.applied")
    os.kill(run.generator_pid(), signal.SIGKILL)
    assert run.wait() == 7
    assert "generator_lost" in run.reasons()
    assert run.stdout.startswith("NO VERDICT")
    (fault,) = run.result()["faults"]
    assert fault["verified"] is True
    assert_over(run)


def test_a_killed_toxiproxy_is_a_reason_of_its_own(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    run = start_rehearsal(short_plan, tmp_path / "runs")
    run.wait_for_event("fault.applied")
    os.kill(run.processes()["toxiproxy"], signal.SIGKILL)
    code = run.wait()
    assert "proxy_restarted" in run.reasons()
    assert run.stdout.startswith(("NO VERDICT", "NO-GO"))
    assert code == run.result()["exit_code"]
    assert code in {3, 4, 7}
    assert_over(run)


def test_a_part_of_the_target_that_dies_is_told_and_judged(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    # Without a ledger, for there is nobody left to read it back from.
    settings = ("--set", 'gates=["http.errors: rate < 1%"]', "--set", "ledger=[]")
    run = start_rehearsal(short_plan, tmp_path / "runs", *settings)
    run.wait_for_event("fault.applied")
    os.kill(run.processes()["gateway"], signal.SIGKILL)
    assert run.wait() in {3, 7}
    assert run.stdout.startswith("NO-GO")
    assert any("gateway" in note for note in run.result()["notes"])
    (gate,) = (one for one in run.result()["gates"] if "http.errors" in one["expression"])
    assert gate["status"] == "fail"
    assert_over(run)


def test_two_rehearsals_at_once_do_not_collide(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    runs = [start_rehearsal(short_plan, tmp_path / name) for name in ("one", "two")]
    codes = [run.wait() for run in runs]
    for run, code in zip(runs, codes, strict=True):
        # Two at once may be more than the machine can drive; that, and only that, is no collision.
        assert code == 0 or run.reasons() == ["generator_unreliable"], run.stdout
        assert run.result()["ledger"]["post"]["lost"] == 0
        assert run.result()["ledger"]["post"]["unread"] == 0
        assert_over(run)
    one, two = (run.result() for run in runs)
    assert one["arrivals"]["schedule_sha256"] == two["arrivals"]["schedule_sha256"]
    assert one["run"]["id"] != two["run"]["id"]


def test_a_taken_port_is_named_before_anything_starts(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        edges = stack_with(tmp_path, "[servers.nats]", f"[servers.nats]\nport = {port}")
        run = start_rehearsal(short_plan, tmp_path / "runs", "--set", f"target.edges={edges}")
        assert run.wait() == 6
    assert f"port {port}" in run.stdout
    assert "nats" in run.stdout
    assert_not_ready(run)
    assert not (run.folder / "logs" / "redis-cache.log").exists()
    assert_over(run)


def test_a_missing_program_is_named_with_what_to_install(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    none = {"SURGEPROOF_TOXIPROXY_SERVER": str(tmp_path / "none")}
    run = start_rehearsal(short_plan, tmp_path / "runs", environ=none)
    assert run.wait() == 6
    assert "toxiproxy-server" in run.stdout
    assert "to get it: " in run.stdout
    assert_not_ready(run)
    assert not (run.folder / "logs" / "redis-cache.log").exists()
    assert_over(run)


def test_a_target_that_never_gets_ready_shows_its_last_lines(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    waiting = "import time; print('waiting for the schema', flush=True); time.sleep(60)"
    edges = stack_with(
        tmp_path,
        '"-m", "target_app", "graph"]\nready = "/readyz"',
        f'"-c", "{waiting}"]\nready = "/readyz"\nready_timeout = "2s"',
    )
    run = start_rehearsal(short_plan, tmp_path / "runs", "--set", f"target.edges={edges}")
    assert run.wait() == 6
    assert "graph was not ready after 2s" in run.stdout
    assert "graph.log:\n    waiting for the schema\n" in run.stdout
    assert_not_ready(run)
    assert_over(run)


def test_a_target_that_breaks_off_shows_its_last_lines(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    edges = stack_with(
        tmp_path,
        '[processes.graph]\ncommand = ["{python}", "-m", "target_app", "graph"]',
        '[processes.graph]\ncommand = ["{python}", "-c", "raise SystemExit(\'no schema here\')"]',
    )
    run = start_rehearsal(short_plan, tmp_path / "runs", "--set", f"target.edges={edges}")
    assert run.wait() == 6
    assert "graph ended with exit code 1" in run.stdout
    assert "graph.log:\n    no schema here\n" in run.stdout
    assert_not_ready(run)
    assert_over(run)


def test_mistakes_in_the_stack_file_are_the_plans(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    edges = stack_with(tmp_path, "[servers.nats]", "[servers.nats]\nprot = 4222")
    run = start_rehearsal(short_plan, tmp_path / "runs", "--set", f"target.edges={edges}")
    assert run.wait() == 2
    assert "stack.toml:" in run.stderr
    assert "servers.nats.prot: unknown key" in run.stderr
    assert not run.has_folder


def test_mistakes_in_a_plan_are_told_all_at_once_and_nothing_is_made(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    text = short_plan.read_text(encoding="utf-8")
    broken = (
        text.replace("timeout: 2m", "timout: 2m")
        .replace("duration: 2s", "duration: 2")
        .replace("edge: feed-timeline", "edge: feed-timelin")
        .replace("rate < 90%'", "rate < 90%'\n  - 'http.errors{name=\"GET /nothing\"}: rate < 1%'")
    )
    short_plan.write_text(broken, encoding="utf-8")
    run = start_rehearsal(short_plan, tmp_path / "runs")
    assert run.wait() == 2
    assert run.stdout == ""
    assert not run.has_folder
    for words in (
        "short.yaml:8:1: timout: ",
        "did you mean 'timeout'",
        "duration",
        "feed-timeline",
        "GET /nothing",
    ):
        assert words in run.stderr, words
    assert "Traceback" not in run.stderr
    assert run.left_behind() == {}


def test_a_plan_that_is_not_there_is_named(start_rehearsal: Start, tmp_path: Path) -> None:
    run = start_rehearsal(tmp_path / "none.yaml", tmp_path / "runs")
    assert run.wait() == 2
    assert str(tmp_path / "none.yaml") in run.stderr
    assert not run.has_folder


def test_a_disk_without_room_is_refused_before_anything_is_made(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "small" / "runs"
    run = start_rehearsal(short_plan, runs, within=own_disk(runs.parent, "4m"))
    assert run.wait() == 6, run.stderr
    assert f"the disk is full: 4 MiB are free for {runs}" in run.stderr
    assert run.stdout == ""
    assert run.left_behind() == {}


def test_a_disk_that_fills_up_ends_the_run_and_is_named(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "small" / "runs"
    run = start_rehearsal(short_plan, runs, within=own_disk(runs.parent, "300m"))
    # Its disk is seen through the process, which alone has it.
    run.runs = Path(f"/proc/{run.process.pid}/root{runs}")
    run.wait_for_event("fault.applied")
    filling = Path(f"/proc/{run.process.pid}/root{runs.parent}/filling")
    with filling.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        file.writelines(itertools.repeat(bytes(2**20)))
    assert run.wait() == 6, run.stderr
    assert f"the disk of {runs}" in run.stderr
    assert "is full" in run.stderr
    # Without a journal the rest of the plan is not worth driving.
    assert "phase: after the load" not in run.stderr
    assert "Traceback" not in run.stderr
    run.wait_for_nothing_left(CLEAN_WITHIN_S)


def own_disk(folder: Path, size: str) -> list[str]:
    """Return what to put before a command to give it a small disk at ``folder``."""
    folder.mkdir()
    mount = f'mount -t tmpfs -o size={size} none {folder} && exec "$@"'
    within = ["unshare", "--mount", "sh", "-c", mount, "sh"]
    try:
        tried = subprocess.run(
            [*within, "true"], capture_output=True, text=True, timeout=10, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare(1) here")
    if tried.returncode != 0:
        pytest.skip(f"no disk of one's own for a test here: {tried.stderr.strip()}")
    return within


def assert_not_ready(run: Rehearsal) -> None:
    """What is missing comes first, and what follows from it is not listed as if it were news."""
    assert run.result()["exit_code"] == 6
    assert run.reasons()[0] == "environment_not_ready"
    assert run.stdout.startswith("NO VERDICT")
    assert "gate_no_data" not in run.stdout
    assert "Traceback" not in run.stderr


def assert_interrupted(run: Rehearsal, code: int) -> None:
    """An interrupted run says so in its result, its report and its answer, and is over."""
    result = run.result()
    assert "interrupted" in run.reasons()
    assert result["exit_code"] == code
    assert result["verdict"]["status"] == "inconclusive"
    assert run.stdout.startswith("NO VERDICT")
    assert str(run.folder / "report.html") in run.stdout
    assert "Traceback" not in run.stderr
    # What was not sent because of the signal is nobody's drop.
    assert result["arrivals"]["dropped"] == 0
    assert result["arrivals"]["scheduled"] == result["arrivals"]["sent"]
    assert_over(run)


def assert_over(run: Rehearsal) -> None:
    """The report is there, and nothing else of the run is left."""
    assert run.left_behind() == {}
    assert (run.folder / "report.html").stat().st_size > 1000
    assert run.guardian()[-1]["action"] in {"bye", "ended"}
    assert run.guardian()[-1].get("processes_left", []) == []
    assert not (run.folder / "logs" / "guardian.fifo").exists()


def assert_report_can_be_made(run: Rehearsal) -> None:
    """A killed run has no verdict, and still a report of what is in its journal."""
    made = subprocess.run(
        [sys.executable, "-m", "surgeproof", "report", str(run.folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert (run.folder / "report.html").stat().st_size > 1000


def stack_with(folder: Path, old: str, new: str) -> Path:
    """Copy the reference target with one change to its stack file; return its edges file."""
    source = Path(__file__).parents[2] / "target_app"
    copy = folder / "target_app"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    stack = copy / "stack.toml"
    text = stack.read_text(encoding="utf-8")
    assert text.count(old) == 1
    stack.write_text(text.replace(old, new), encoding="utf-8")
    return copy / "edges.toml"
