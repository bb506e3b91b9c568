"""Slots that are added to an engine's, or taken from it, while it sends."""

from __future__ import annotations

import numpy as np
import pytest

from surgeproof.load.pending import Pending
from surgeproof.load.schedule import Schedule, build_schedule
from surgeproof.model.plan import ArrivalPart, Load, Phase


@pytest.fixture
def schedule(tmp_path_factory: pytest.TempPathFactory) -> Schedule:
    file = tmp_path_factory.mktemp("load") / "s.py"
    phase = Phase("one", 0.0, 10.0, (ArrivalPart("constant", {"rate": 10.0}),))
    load = Load(file, "locust", "request", (phase,), {"default": {"GET /a": 1.0}})
    return build_schedule(load, 1)


def slots(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def taken(pending: Pending, now_s: float) -> list[int]:
    return [row[0] for row in pending.take(now_s)]


def test_added_slots_are_taken_in_order_of_their_moments(schedule: Schedule) -> None:
    pending = Pending(schedule, slots(2, 8, 20))
    pending.add(slots(5, 9))
    assert taken(pending, 1.0) == [2, 5, 8, 9]
    assert pending.next_s == pytest.approx(schedule.times_s[20])


def test_slots_added_behind_time_are_taken_at_once(schedule: Schedule) -> None:
    pending = Pending(schedule, slots(1, 50))
    assert taken(pending, 3.0) == [1]
    pending.add(slots(4, 60))
    assert taken(pending, 3.0) == [4]
    assert taken(pending, 9.0) == [50, 60]
    assert pending.taken == 4


def test_nothing_is_there_until_something_is_added(schedule: Schedule) -> None:
    pending = Pending(schedule, slots())
    assert pending.next_s is None
    pending.add(slots(3))
    assert pending.next_s == pytest.approx(schedule.times_s[3])


def test_a_cut_takes_away_what_is_intended_from_its_moment_on(schedule: Schedule) -> None:
    pending = Pending(schedule, slots(1, 10, 11, 30))
    pending.cut(float(schedule.times_s[11]))
    assert taken(pending, 100.0) == [1, 10]
