from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from surgeproof.errors import FormatError
from surgeproof.load.k6.report import (
    K6Report,
    K6Threshold,
    compare_with_k6,
    k6_messages,
    read_thresholds,
)
from surgeproof.load.k6.thresholds import Thresholds, carry_gates, thresholds_beside
from surgeproof.load.schedule import Schedule, build_schedule
from surgeproof.model.plan import ArrivalPart, Gate, Load
from surgeproof.model.result import GateResult
from surgeproof.model.words import Status
from surgeproof.slo.notation import parse_gate

MakeLoad = Callable[..., Load]


@pytest.fixture
def schedule(make_load: MakeLoad) -> Schedule:
    part = ArrivalPart("constant", {"rate": 50})
    return build_schedule(make_load(("warmup", 10, [part]), ("surge", 10, [part])), 1)


def carried(text: str, schedule: Schedule) -> tuple[str, str]:
    (each,) = carry_gates([gate(text)], schedule).carried
    return each.metric, each.threshold


def gate(text: str) -> Gate:
    return parse_gate(text, id="g")


@pytest.mark.parametrize(
    ("text", "metric", "threshold"),
    [
        (
            'http.response_time{name="GET /v1/posts/{id}"}: p95 < 600ms',
            "http_req_duration{scenario:surge,name:GET /v1/posts/{id}}",
            "p(95)<600",
        ),
        (
            "http.service_time: p99.9 <= 1.5s during surge",
            "http_req_duration{scenario:surge,phase:surge}",
            "p(99.9)<=1500",
        ),
        ("http.service_time: mean < 20ms", "http_req_duration{scenario:surge}", "avg<20"),
        ("http.errors: rate < 2%", "http_req_failed{scenario:surge}", "rate<0.02"),
        (
            "http.wrong: count == 0",
            "surgeproof_outcome{scenario:surge,outcome:wrong}",
            "count==0",
        ),
        ("http.throughput: rate > 40/s", "http_reqs{scenario:surge}", "count>800"),
        (
            "http.throughput: rate > 40/s during surge",
            "http_reqs{scenario:surge,phase:surge}",
            "count>400",
        ),
        ("arrivals.dropped: rate < 0.1%", "dropped_iterations{scenario:surge}", "count<1"),
    ],
)
def test_a_gate_that_k6_can_express_becomes_a_threshold(
    text: str, metric: str, threshold: str, schedule: Schedule
) -> None:
    assert carried(text, schedule) == (metric, threshold)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http.errors: rate < 2% during fault:redis-down", "window fault:redis-down"),
        ('http.errors{tier="T0"}: rate < 2%', "label tier"),
        ("http.errors: rate < 2% over 10s", "no `over`"),
        ("goodput: rate > 3/s", "no metric like goodput"),
        ("http.errors: count < 3", "no metric like http.errors: count"),
        ("http.response_time: count > 3", "no count of times"),
        ('arrivals.dropped{name="GET /a"}: rate < 1%', "dropped one"),
        ('http.wrong{name="GET /a"}: count == 0', "of which request"),
        ('http.errors{name="GET /a,b"}: rate < 1%', "comma"),
    ],
)
def test_a_gate_that_k6_cannot_express_is_listed_with_its_reason(
    text: str, why: str, schedule: Schedule
) -> None:
    found = carry_gates([gate(text)], schedule)
    assert found.carried == ()
    assert why in found.left_out["g"]


def test_thresholds_lie_beside_the_order_and_are_told_to_k6_once(
    schedule: Schedule, tmp_path: Path
) -> None:
    text = "http.errors: rate < 2%"
    gates = [parse_gate(text, id="one"), parse_gate(text, id="two"), gate("goodput: rate > 3/s")]
    found = carry_gates(gates, schedule)
    assert found.by_metric() == {"http_req_failed{scenario:surge}": ["rate<0.02"]}
    assert thresholds_beside(tmp_path / "load.json") == Thresholds()
    found.write(tmp_path)
    assert thresholds_beside(tmp_path / "load.json") == found
    (tmp_path / "k6-thresholds.json").write_text("[]")
    with pytest.raises(FormatError, match="holds no thresholds"):
        thresholds_beside(tmp_path / "load.json")


def test_k6s_word_is_read_with_the_gate_it_stands_for(schedule: Schedule, tmp_path: Path) -> None:
    found = carry_gates([gate("http.errors: rate < 2%")], schedule)
    summary = tmp_path / "summary.json"
    assert read_thresholds(summary, found, is_judged=True) == ()
    metric = "http_req_failed{scenario:surge}"
    said = {
        metric: {"values": {"passes": 1, "fails": 9}, "thresholds": {"rate<0.02": {"ok": False}}},
        "own": {"values": {"count": 0}, "thresholds": {"p(95)<1": {"ok": True}}},
    }
    summary.write_text(json.dumps(said))
    ours, own = read_thresholds(summary, found, is_judged=True)
    assert (ours.gate, ours.is_ok, ours.has_samples) == ("g", False, True)
    assert (own.gate, own.is_ok, own.has_samples) == (None, True, False)


@pytest.mark.parametrize(
    ("metric", "is_judged", "has_samples"),
    [
        ("dropped_iterations{scenario:surge}", False, True),
        ("surgeproof_outcome{scenario:surge,outcome:wrong}", True, True),
        ("surgeproof_outcome{scenario:surge,outcome:wrong}", False, False),
    ],
)
def test_a_count_of_none_is_a_finding_where_somebody_counted(
    tmp_path: Path, metric: str, is_judged: bool, has_samples: bool
) -> None:
    summary = tmp_path / "summary.json"
    said = {"type": "counter", "values": {"count": 0}, "thresholds": {"count==0": {"ok": True}}}
    summary.write_text(json.dumps({metric: said}))
    (found,) = read_thresholds(summary, Thresholds(), is_judged=is_judged)
    assert found.has_samples is has_samples


def result(status: Status) -> GateResult:
    return GateResult("g", "http.errors: rate < 2%", status, 0.1, 0.02, 9, None, "")


@pytest.mark.parametrize(
    ("ours", "is_ok", "has_samples", "differs"),
    [
        (Status.PASS, True, True, False),
        (Status.FAIL, False, True, False),
        (Status.PASS, False, True, True),
        (Status.FAIL, True, True, True),
        (Status.FAIL, True, False, False),
        (Status.NO_DATA, False, True, False),
    ],
)
def test_where_k6_and_a_gate_disagree_it_is_said(
    tmp_path: Path, ours: Status, is_ok: bool, has_samples: bool, differs: bool
) -> None:
    threshold = K6Threshold("m", "rate<0.02", is_ok, has_samples, "g", "because")
    K6Report("1.1.0", 99, "crossed", (threshold,), {"h": "no"}).write(tmp_path, 0)
    lines = compare_with_k6(tmp_path, [result(ours)])
    assert len(lines) == differs
    assert all("gate g" in line and "because" in line for line in lines)
    said = "\n".join(k6_messages(tmp_path))
    assert "ended with 99: crossed" in said
    assert "not told to k6: gate h: no" in said
    assert ("no sample" in said) is not has_samples
