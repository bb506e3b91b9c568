"""Scripts of every kind under our arrivals, by the real k6."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest

from surgeproof.load.k6.options import k6_stages, k6_times
from surgeproof.model.plan import ArrivalPart
from surgeproof.slo.notation import parse_gate

pytestmark = pytest.mark.integration

# What the conftests' fixtures make; their classes cannot be imported from here.
Target = Any
StartK6 = Callable[..., Any]

# A script that knows nothing of surgeproof.
PLAIN = """
import http from "k6/http";
import { check } from "k6";
export const options = {
  vus: 50, duration: "9m", userAgent: "their own",
  thresholds: { http_req_duration: ["p(95)<0.000001"] },
};
export default function () {
  const answer = http.get(`${__ENV.TARGET}/a?x=${__ITER}`, { tags: { name: "/a" } });
  check(answer, { "is never fine": (given) => given.status === 299 });
}
"""

SESSION = """
import { sleep } from "k6";
import { arrival, ledger, send, writeOutcome, baseUrl } from "@LIBRARY@";
import http from "k6/http";
export default function () {
  const { index } = arrival();
  send("GET /login", "/login");
  sleep(0.2);
  const key = `k${index}`;
  const answer = send("POST /b", `/b/${key}`, { body: { key } });
  ledger("post", key, writeOutcome(answer));
  send("GET /count/{key}", `/count/${key}`, { check: (_, json) => json === 1 });
}
export function readBack(data, kind, key) {
  if (key === "k1") throw new Error("cannot be read");
  return JSON.parse(http.get(`${baseUrl}/count/${key}`).body);
}
"""

STEADY = """
import { send } from "@LIBRARY@";
export default function () { send("GET /a", "/a"); }
"""


def test_a_script_of_its_own_runs_without_a_word_of_ours(target: Target, start_k6: StartK6) -> None:
    run = start_k6(target.url, PLAIN, (1.0, ArrivalPart("constant", {"rate": 10})))
    assert run.finish() == 0, run.output()
    samples = run.samples
    assert len(samples) == len(run.schedule) == 10
    assert samples.name.words == ("GET /a",)
    assert samples.outcome.words == ("wrong",)
    assert samples.error_kind.words == ("check",)
    assert any(b"User-Agent: their own" in head for head in target.headers)
    report = run.report
    assert report.exit_code == 99
    (own,) = report.thresholds
    assert (own.gate, own.is_ok, own.has_samples) == (None, False, True)


def test_the_server_sees_our_count_in_every_second_of_an_uneven_plan(
    target: Target, start_k6: StartK6, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    answer = target._answer

    def note(request: bytes, writer: object) -> None:
        seen.append(time.monotonic())
        answer(request, writer)

    monkeypatch.setattr(target, "_answer", note)
    run = start_k6(
        target.url,
        STEADY,
        (2.0, ArrivalPart("poisson", {"rate": 12})),
        (2.0, ArrivalPart("ramp", {"from": 2, "to": 20})),
        (1.4, ArrivalPart("constant", {"rate": 10})),
    )
    assert run.finish() == 0, run.output()
    wanted = run.schedule.per_second()
    times = k6_times(k6_stages(wanted, run.schedule.duration_s))
    arrived = np.sort(np.array(seen)) - run.t0
    assert len(arrived) == len(times) == len(run.samples)
    # How late all of them are is the machine's matter; that they keep their distances is k6's.
    arrived -= float(np.median(arrived - times))
    assert np.bincount(arrived.astype(int)).tolist() == wanted.tolist()
    assert len(run.drops) == 0


def test_the_steps_of_a_session_are_samples_and_its_writes_a_ledger(
    target: Target, start_k6: StartK6
) -> None:
    run = start_k6(
        target.url,
        SESSION,
        (1.0, ArrivalPart("constant", {"rate": 8})),
        unit="session",
        ledger_kinds=("post",),
    )
    assert run.finish() == 0, run.output()
    samples = run.samples
    assert len(samples) == 24
    for session in range(8):
        rows = samples.take(samples.session == session)
        order = np.argsort(rows.step)
        assert rows.step[order].tolist() == [1, 2, 3]
        names = [rows.name.words[code] for code in rows.name.codes[order]]
        assert names == ["GET /login", "POST /b", "GET /count/{key}"]
        begun = rows.start_s[order]
        assert begun[1] - rows.end_s[order][0] >= 0.19
        assert rows.intended_s[order][1:].tolist() == begun[1:].tolist()
    assert samples.outcome.words == ("full",)
    assert {row["outcome"] for row in run.lines("ledger")} == {"ok"}
    last = run.lines("pulse")[-1]
    assert (last["scheduled"], last["sent"], last["requests"]) == (8, 8, 24)
    found = run.read_back()["post"]
    assert found.pop("k1") == [None, None]
    assert found == {f"k{index}": [1, 1] for index in (0, 2, 3, 4, 5, 6, 7)}


def test_gates_are_thresholds_and_k6s_word_on_them_is_kept(
    target: Target, start_k6: StartK6
) -> None:
    texts = (
        'http.response_time{name="GET /v1/posts/{id}"}: p95 < 60s during p0',
        "http.service_time: max < 0.001ms",
        "http.errors: rate < 2%",
        "http.wrong: count == 0",
        "http.throughput: rate > 9/s",
        "arrivals.dropped: rate < 10%",
        "goodput: rate > 1/s",
    )
    gates = tuple(parse_gate(text, id=f"g{number}") for number, text in enumerate(texts))
    script = STEADY.replace('"GET /a"', '"GET /v1/posts/{id}"')
    run = start_k6(target.url, script, (1.0, ArrivalPart("constant", {"rate": 10})), gates=gates)
    assert run.finish() == 0, run.output()
    report = run.report
    assert (report.exit_code, report.words) == (99, "a threshold of k6 was crossed")
    said = {each.gate: (each.is_ok, each.has_samples) for each in report.thresholds}
    assert said == {
        "g0": (True, True),
        "g1": (False, True),
        "g2": (True, True),
        "g3": (True, True),
        "g4": (True, True),
        "g5": (True, True),
    }
    assert report.left_out.keys() == {"g6"}


def test_an_arrival_beyond_the_plans_bound_is_dropped_by_k6_too(
    target: Target, start_k6: StartK6
) -> None:
    script = """
    import { sleep } from "k6";
    import { send } from "@LIBRARY@";
    export default function () { send("GET /a", "/a"); sleep(1.5); }
    """
    run = start_k6(
        target.url, script, (2.0, ArrivalPart("constant", {"rate": 10})), max_in_flight=3
    )
    assert run.finish() == 0, run.output()
    assert len(run.samples) <= 6
    assert len(run.samples) + len(run.drops) == 20
    last = run.lines("pulse")[-1]
    assert last["scheduled"] == last["sent"] + last["dropped"] == 20
    assert all(line["cpu_ratio"] is None or line["cpu_ratio"] >= 0 for line in run.lines("pulse"))


def test_no_k6_outlives_its_driver(target: Target, start_k6: StartK6) -> None:
    run = start_k6(target.url, STEADY, (60.0, ArrivalPart("constant", {"rate": 20})))
    run.begin()
    time.sleep(1)
    k6 = run.k6()
    run.process.kill()
    run.process.wait()
    # It writes several times a second, and there is nobody to read it any more.
    _, alive = psutil.wait_procs([k6], timeout=5)
    assert not alive


def test_a_killed_k6_is_no_end_and_what_it_did_is_kept(target: Target, start_k6: StartK6) -> None:
    run = start_k6(target.url, STEADY, (60.0, ArrivalPart("constant", {"rate": 20})))
    run.begin()
    time.sleep(3)
    run.k6().kill()
    assert run.process.wait(10) == 7
    assert "killed by signal 9" in run.output()
    assert run.report.exit_code == -9
    assert len(run.samples) > 20
    last = run.lines("pulse")[-1]
    assert last["scheduled"] == last["sent"] + last["dropped"]
