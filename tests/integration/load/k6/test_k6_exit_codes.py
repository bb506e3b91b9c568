"""Exit codes of the real k6, each provoked, and what we make of them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgeproof.load.k6 import find_k6
from surgeproof.load.k6.exit_codes import K6_EXITS
from surgeproof.model.plan import ArrivalPart

pytestmark = pytest.mark.integration

# What the conftests' fixtures make; their classes cannot be imported from here.
Target = Any
StartK6 = Callable[..., Any]

HEAD = """
import http from "k6/http";
import exec from "k6/execution";
import { sleep } from "k6";
"""
ASK = "export default function () { http.get(`${__ENV.TARGET}/a`); "


@pytest.mark.parametrize(
    ("script", "code", "ours", "words"),
    [
        pytest.param(
            "export const options = { thresholds: { http_reqs: ['count<1'] } };" + ASK + "}",
            *(99, 0, "a threshold of k6 was crossed"),
            id="a threshold of the script is crossed",
        ),
        pytest.param(
            "export const options = { teardownTimeout: '1s' };"
            "export function teardown() { sleep(30); }" + ASK + "}",
            *(101, 0, "teardown() took too long"),
            id="the load was driven and the tidying hangs",
        ),
        pytest.param(
            ASK + "exec.test.abort('enough'); }",
            *(108, 7, "the script aborted the run"),
            id="the script aborts in the middle",
        ),
        pytest.param(
            ASK + "exec.test.fail('not good'); }",
            *(110, 0, "the script marked the run as failed"),
            id="the script marks the run as failed",
        ),
    ],
)
def test_a_run_that_began_ends_with_our_code(
    target: Target, start_k6: StartK6, script: str, code: int, ours: int, words: str
) -> None:
    run = start_k6(target.url, HEAD + script)
    assert run.finish() == ours, run.output()
    assert (run.report.exit_code, run.report.words) == (code, words)
    last = run.lines("pulse")[-1]
    assert last["end"] is True
    assert last["scheduled"] == last["sent"] + last["dropped"]


@pytest.mark.parametrize(
    ("script", "ours", "words"),
    [
        pytest.param("export default function () {", 2, "threw an exception", id="no JavaScript"),
        pytest.param("export const a = 1;", 2, "no default function", id="nothing to run"),
        pytest.param(
            "export const options = { thresholds: { none: ['rate<1'] } };" + ASK + "}",
            *(2, "options are not valid"),
            id="a threshold on what is not there",
        ),
        pytest.param(
            "export function setup() { null.x; }" + ASK + "}",
            *(2, "threw an exception"),
            id="the preparation throws",
        ),
        pytest.param(
            "export function setup() { exec.test.abort('no posts'); }" + ASK + "}",
            *(6, "aborted its preparation"),
            id="the preparation gives up",
        ),
    ],
)
def test_a_run_that_never_began_ends_with_our_code(
    target: Target, start_k6: StartK6, script: str, ours: int, words: str
) -> None:
    run = start_k6(target.url, HEAD + script)
    assert run.process.wait(60) == ours
    assert words in run.output()


def test_a_plan_with_a_ledger_needs_a_script_that_can_read_it_back(
    target: Target, start_k6: StartK6
) -> None:
    run = start_k6(target.url, HEAD + ASK + "}", ledger_kinds=("post",))
    assert run.process.wait(60) == 2
    assert "exports readBack" in run.output()


def test_several_workers_are_not_for_k6(target: Target, start_k6: StartK6) -> None:
    run = start_k6(target.url, HEAD + ASK + "}", workers=2)
    assert run.process.wait(60) == 2
    assert "load.workers is 2; accepted with engine k6: 1" in run.output()


def test_the_table_has_k6s_own_code_for_a_preparation_that_takes_too_long(tmp_path: Path) -> None:
    path = tmp_path / "script.js"
    path.write_text(
        f"{HEAD} export const options = {{ setupTimeout: '100ms' }};"
        "export function setup() { sleep(5); } export default function () {}"
    )
    command = [str(find_k6()), "run", "--quiet", "--no-usage-report", "--address", "", str(path)]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=30)
    assert ended.returncode == 100, ended.stderr
    assert K6_EXITS[100].ours == 6


def test_a_signal_that_nobody_here_sent_is_no_end(target: Target, start_k6: StartK6) -> None:
    run = start_k6(
        target.url, HEAD + ASK + "sleep(0.1); }", (30.0, ArrivalPart("constant", {"rate": 5}))
    )
    run.begin()
    time.sleep(1)
    run.k6().terminate()
    assert run.process.wait(10) == 7
    assert "k6 was stopped from outside" in run.output()
    assert run.report.exit_code == 105
