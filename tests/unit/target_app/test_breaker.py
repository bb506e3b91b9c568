"""The breaker against hand-counted outcomes and a clock moved by hand."""

from __future__ import annotations

import pytest

from target_app.edge import Breaker, BreakerState
from target_app.edge.policy import BreakerPolicy

POLICY = BreakerPolicy(
    window_s=10.0, min_calls=4, open_at_ratio=0.5, half_open_probes=2, cool_down_s=2.0
)


class HandClock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def record(breaker: Breaker, outcomes: str) -> None:
    """Send one call for each letter, ``s`` a success and ``f`` a failure."""
    for letter in outcomes:
        assert breaker.try_enter()
        breaker.record(success=letter == "s")


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        pytest.param("ssss", BreakerState.CLOSED, id="all succeed"),
        pytest.param("fff", BreakerState.CLOSED, id="too few calls to judge"),
        pytest.param("sfsf", BreakerState.OPEN, id="exactly at the ratio"),
        pytest.param("sssf", BreakerState.CLOSED, id="below the ratio"),
        pytest.param("ssssssssffff", BreakerState.OPEN, id="a row of failures after a good past"),
    ],
)
def test_the_breaker_opens_at_its_failure_ratio(
    clock: HandClock, outcomes: str, state: BreakerState
) -> None:
    breaker = Breaker(POLICY, clock)
    record(breaker, outcomes)
    assert breaker.state is state
    assert breaker.try_enter() is (state is BreakerState.CLOSED)


def test_failures_older_than_the_window_are_forgotten(clock: HandClock) -> None:
    breaker = Breaker(POLICY, clock)
    record(breaker, "fff")
    clock.now_s += 11
    record(breaker, "sssf")
    assert breaker.state is BreakerState.CLOSED


def test_an_open_breaker_lets_only_its_probes_pass_after_the_cool_down(clock: HandClock) -> None:
    breaker = Breaker(POLICY, clock)
    record(breaker, "ffff")
    clock.now_s += 1.99
    assert not breaker.try_enter()
    clock.now_s += 0.01
    assert [breaker.try_enter() for _ in range(3)] == [True, True, False]


def test_successful_probes_close_the_breaker_with_a_clean_record(clock: HandClock) -> None:
    breaker = Breaker(POLICY, clock)
    record(breaker, "ffff")
    clock.now_s += 2
    record(breaker, "ss")
    assert breaker.state is BreakerState.CLOSED
    record(breaker, "sfs")
    assert breaker.state is BreakerState.CLOSED


def test_a_failed_probe_opens_the_breaker_for_another_cool_down(clock: HandClock) -> None:
    breaker = Breaker(POLICY, clock)
    record(breaker, "ffff")
    clock.now_s += 2
    record(breaker, "sf")
    assert not breaker.try_enter()
    clock.now_s += 2
    assert breaker.try_enter()


def test_a_probe_whose_caller_went_away_gives_its_place_back(clock: HandClock) -> None:
    breaker = Breaker(POLICY, clock)
    record(breaker, "ffff")
    clock.now_s += 2
    for _ in range(5):
        assert breaker.try_enter()
        breaker.forget()
    record(breaker, "ss")
    assert breaker.state is BreakerState.CLOSED


def test_each_transition_is_told_once_in_order(clock: HandClock) -> None:
    told: list[BreakerState] = []
    breaker = Breaker(POLICY, clock, told.append)
    record(breaker, "ffff")
    clock.now_s += 2
    record(breaker, "ss")
    assert told == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]
