"""Arrivals, requests and endpoints add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from surgeproof.model.plan import Endpoint
from surgeproof.model.result import ArrivalCounts
from surgeproof.model.samples import Drops, Samples
from surgeproof.model.words import Tier
from surgeproof.slo.accounting import count_arrivals, count_endpoints, count_requests

MakeSamples = Callable[[list[dict[str, Any]]], Samples]
MakeDrops = Callable[[list[dict[str, Any]]], Drops]


def arrivals(samples: Samples, drops: Drops, scheduled: int) -> ArrivalCounts:
    return count_arrivals(
        samples,
        drops,
        unit="request",
        scheduled=scheduled,
        schedule_sha256="",
        late_after_s=0.01,
    )


def test_scheduled_is_sent_plus_dropped_and_late_is_a_part_of_sent(
    samples_of: MakeSamples, drops_of: MakeDrops
) -> None:
    rows = [{"at": 0.0, "lag": lag} for lag in (0.0, 0.01, 0.0101, 0.5)]
    found = arrivals(samples_of(rows), drops_of([{"at": 2.0}]), 5)
    assert (found.scheduled, found.sent, found.late, found.dropped) == (5, 4, 2, 1)
    assert found.lag_p99_s == pytest.approx(0.5)


def test_retries_and_later_steps_are_no_arrivals(
    samples_of: MakeSamples, drops_of: MakeDrops
) -> None:
    rows: list[dict[str, Any]] = [{"at": 1.0}, {"at": 1.0, "attempt": 2}, {"at": 2.0, "step": 2}]
    assert arrivals(samples_of(rows), drops_of([]), 1).sent == 1


def test_arrivals_of_a_generator_that_died_are_dropped(
    samples_of: MakeSamples, drops_of: MakeDrops
) -> None:
    found = arrivals(samples_of([{"at": 1.0}]), drops_of([{"at": 2.0}]), 10)
    assert (found.sent, found.dropped) == (1, 9)


def test_without_arrivals_the_lag_is_unknown(samples_of: MakeSamples, drops_of: MakeDrops) -> None:
    assert arrivals(samples_of([]), drops_of([]), 0).lag_p99_s is None


def test_requests_are_counted_by_their_first_attempt(samples_of: MakeSamples) -> None:
    rows: list[dict[str, Any]] = [
        {"at": 1.0, "outcome": "error"},
        {"at": 1.0, "attempt": 2},
        {"at": 2.0, "took": None, "outcome": "error"},
    ]
    found = count_requests(samples_of(rows))
    assert (found.sent, found.completed, found.unfinished) == (2, 1, 1)


def test_endpoints_of_the_plan_come_first_even_unused(samples_of: MakeSamples) -> None:
    endpoints = [Endpoint("PUT /b", Tier.T0, 1.0), Endpoint("GET /a", Tier.T1, 1.0)]
    rows: list[dict[str, Any]] = [
        {"at": 1.0, "name": "GET /a", "took": 0.2, "lag": 0.05},
        {"at": 2.0, "name": "GET /a", "took": 0.001, "outcome": "shed"},
        {"at": 3.0, "name": "GET /other", "tier": "T3", "outcome": ""},
    ]
    unused, used, other = count_endpoints(samples_of(rows), endpoints)
    assert (unused.name, unused.tier, unused.count) == ("PUT /b", "T0", 0)
    assert unused.response_time.p99 is None
    assert (used.name, used.count, used.outcomes["full"], used.outcomes["shed"]) == (
        "GET /a",
        2,
        1,
        1,
    )
    # The shed answer is counted and not timed; service time is 50 ms less than response time.
    assert used.response_time.p50 == pytest.approx(0.2)
    assert used.service_time.max == pytest.approx(0.15)
    assert (other.name, other.tier, other.outcomes["error"]) == ("GET /other", "T3", 1)
