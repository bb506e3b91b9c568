"""What an engine has still to start: nothing twice, nothing forgotten, whatever is reassigned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.load.pending import Pending
from surgeproof.load.schedule import Schedule, build_schedule
from surgeproof.model.plan import ArrivalPart, Load, Phase


def schedule_of(rate: float = 1000.0, duration_s: float = 3.0) -> Schedule:
    part = ArrivalPart("constant", {"rate": rate})
    phase = Phase("one", 0.0, duration_s, (part,))
    return build_schedule(_load(phase), 1)


def _load(phase: Phase) -> Load:
    return Load(Path("s.py"), "locust", "request", (phase,), {"default": {"GET /": 1.0}})


def slots(pending: Pending, until_s: float) -> list[int]:
    return [row[0] for row in pending.take(until_s)]


def test_arrivals_come_in_order_as_their_moments_pass() -> None:
    schedule = schedule_of()
    pending = Pending(schedule)
    assert pending.next_s == schedule.times_s[0]
    first = slots(pending, 1.0)
    assert first == list(range(1000))
    assert pending.taken == 1000
    assert pending.next_s == schedule.times_s[1000]
    assert slots(pending, 99.0) == list(range(1000, 3000))
    assert pending.next_s is None


def test_a_row_says_moment_journey_and_phase() -> None:
    schedule = schedule_of(10.0)
    (row, *_) = list(Pending(schedule).take(1.0))
    assert row == (0, pytest.approx(0.05), 0, 0)


def test_only_the_slots_of_ones_own_shard_are_taken() -> None:
    schedule = schedule_of()
    pending = Pending(schedule, schedule.slots(1, 3))
    assert slots(pending, 99.0) == list(range(1, 3000, 3))


def test_slots_before_the_cut_stay_and_those_after_are_replaced() -> None:
    schedule = schedule_of()
    pending = Pending(schedule, schedule.slots(0, 2))
    slots(pending, 0.5)
    pending.cut(1.0)
    other = schedule.slots(1, 2)
    pending.add(other[schedule.times_s[other] >= 1.0])
    left = slots(pending, 99.0)
    assert [slot for slot in left if slot < 1000] == list(range(500, 1000, 2))
    assert [slot for slot in left if slot >= 1000] == list(range(1001, 3000, 2))


def test_a_cut_in_the_past_takes_nothing_back() -> None:
    schedule = schedule_of()
    pending = Pending(schedule)
    before = slots(pending, 1.5)
    pending.cut(0.2)
    assert pending.next_s is None
    assert pending.taken == len(before)


@given(st.lists(st.tuples(st.floats(0, 3.2), st.floats(0, 3.2)), min_size=1, max_size=6))
def test_what_is_cut_and_given_back_starts_once_each(steps: list[tuple[float, float]]) -> None:
    schedule = schedule_of(700.0)
    pending = Pending(schedule)
    taken: list[int] = []
    now_s = 0.0
    for later_s, cut_s in steps:
        now_s = max(now_s, later_s)
        taken += slots(pending, now_s)
        pending.cut(cut_s)
        every = np.arange(len(schedule), dtype=np.int64)
        given_up = every[(schedule.times_s >= cut_s) & ~np.isin(every, taken)]
        pending.add(given_up)
    taken += slots(pending, 99.0)
    assert sorted(taken) == list(range(len(schedule)))
    assert pending.taken == len(taken)


def test_an_engine_without_slots_has_nothing_to_wait_for() -> None:
    pending = Pending(schedule_of(), np.empty(0, dtype=np.int64))
    assert pending.next_s is None
    assert slots(pending, 99.0) == []
