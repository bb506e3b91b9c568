"""Objectives over a run, and the error budget that it spent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from surgeproof.errors import UsageError
from surgeproof.model.words import Status
from surgeproof.slo.objectives import (
    Good,
    Objective,
    judge_objective,
    judge_objectives,
    parse_good,
)
from surgeproof.slo.run_data import RunData

FEED = "GET /v1/feed/home"
MakeRun = Callable[..., RunData]
ANSWERED = ("full", "degraded")


def objective(target: float = 0.9, latency_s: float | None = 1.0) -> Objective:
    return Objective("feed", "threads", {"name": FEED}, Good(ANSWERED, latency_s), target)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latency <= 300ms and outcome in (full, degraded)", Good(ANSWERED, 0.3)),
        ("latency <= 1s", Good(ANSWERED, 1.0)),
        ("outcome in (full)", Good(("full",))),
        ("outcome in (full, degraded, shed)", Good((*ANSWERED, "shed"))),
    ],
    ids=["both", "latency only", "one outcome", "three outcomes"],
)
def test_condition_means(text: str, expected: Good) -> None:
    assert parse_good(text) == expected
    assert parse_good(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency < 300ms", "is no condition"),
        ("latency <= 300", "the unit is missing"),
        ("latency <= 1s and latency <= 2s", "is no condition"),
        ("outcome in (ful)", "did you mean 'full'"),
        ("", "is no condition"),
    ],
    ids=["other operator", "no unit", "twice", "unknown outcome", "empty"],
)
def test_condition_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_good(text)


def test_budget_spent_is_bad_over_what_may_be_bad(run_of: MakeRun) -> None:
    # 100 requests: 4 late, 1 error; 0.9 of 100 allows 10 bad ones, so half the budget went.
    rows: list[dict[str, Any]] = [{"at": 1.0, "took": 1.0}] * 95 + [{"at": 2.0, "took": 1.1}] * 4
    rows += [{"at": 3.0, "outcome": "error"}, {"at": 4.0, "name": "GET /other", "took": 9.0}]
    found = judge_objective(objective(), run_of(rows))
    assert (found.good, found.total, found.gate.status) == (95, 100, Status.PASS)
    assert found.budget_spent == pytest.approx(0.5)
    assert (found.gate.id, found.gate.value, found.gate.limit) == ("slo:feed", 0.95, 0.9)
    assert "95% of 100 were good, target 90%; 50% of this run's error budget" in found.gate.message


@pytest.mark.parametrize(
    ("bad", "status"),
    [(10, Status.PASS), (11, Status.FAIL), (0, Status.PASS), (100, Status.FAIL)],
    ids=["exactly at the target", "one below it", "none bad", "all bad"],
)
def test_objective_at_its_bound(run_of: MakeRun, bad: int, status: Status) -> None:
    rows = [{"at": 1.0}] * (100 - bad) + [{"at": 1.0, "outcome": "shed"}] * bad
    assert judge_objective(objective(), run_of(rows)).gate.status is status


def test_dropped_arrivals_count_against_the_error_budget(run_of: MakeRun) -> None:
    found = judge_objective(objective(), run_of([{"at": 1.0}] * 8, [{"at": 2.0}] * 2))
    assert (found.good, found.total, found.gate.status) == (8, 10, Status.FAIL)
    assert found.budget_spent == pytest.approx(2.0)


def test_a_request_that_never_ended_is_bad(run_of: MakeRun) -> None:
    rows = [{"at": 1.0, "took": None, "outcome": "error"}]
    assert judge_objective(objective(), run_of(rows)).good == 0


def test_a_retry_that_came_through_makes_its_request_good_once(run_of: MakeRun) -> None:
    rows: list[dict[str, Any]] = [{"at": 1.0, "outcome": "error"}, {"at": 1.0, "attempt": 2}]
    found = judge_objective(objective(), run_of(rows))
    assert (found.good, found.total) == (1, 1)


def test_objective_without_requests_is_no_data_and_not_met(run_of: MakeRun) -> None:
    (found,) = judge_objectives([objective()], run_of([{"at": 1.0, "name": "GET /other"}]))
    assert (found.gate.status, found.gate.value, found.budget_spent) == (Status.NO_DATA, None, None)
    assert found.to_json()["bad"] == 0
