"""Locust's listeners hear of every sample, and hold up nothing for longer than a slice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
from locust.exception import RescheduleTask, StopTest

from surgeproof.load.locust_events import EventQueue

ROW = np.dtype([("place", "<u8"), ("time", "<f8")])
SLICE_S = 0.001


def rows(first: int, count: int) -> Any:
    chunk = np.zeros(count, dtype=ROW)
    chunk["place"] = np.arange(first, first + count)
    return chunk


class Side:
    """The gevent side with a clock of its own: each call of the listener takes ``cost_s``."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.cost_s = 0.0003
        self.heard: list[int] = []
        self.stretches: list[float] = []
        self._began_s = 0.0
        self.listener: Callable[[int], None] = lambda place: None
        self.queue = EventQueue(self._fire, pause=self._pause, monotonic=lambda: self.now_s)

    def _fire(self, values: tuple[Any, ...]) -> None:
        self.now_s += self.cost_s
        self.heard.append(values[0])
        self.listener(values[0])

    def _pause(self, duration_s: float) -> None:
        self.stretches.append(self.now_s - self._began_s)
        self.now_s += duration_s
        self._began_s = self.now_s


@pytest.fixture
def side() -> Iterator[Side]:
    side = Side()
    # What would run in a greenlet of its own runs when the test says so.
    with mock.patch("surgeproof.load.locust_events.gevent.spawn", return_value=None):
        yield side


def test_every_row_is_fired_once_and_in_order(side: Side) -> None:
    side.queue.add(rows(0, 250))
    side.queue.add(rows(250, 3))
    side.queue.finish(10.0)
    assert side.heard == list(range(253))
    assert side.queue.backlog == 0


def test_firing_lets_go_after_a_millisecond(side: Side) -> None:
    side.queue.add(rows(0, 100))
    side.queue.finish(10.0)
    assert len(side.stretches) >= 24
    # One call can make it longer by what it takes itself.
    assert max(side.stretches) <= SLICE_S + side.cost_s


def test_what_is_left_when_time_is_up_is_told(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    side.cost_s = 0.1
    side.queue.add(rows(0, 100))
    with caplog.at_level(logging.WARNING):
        side.queue.finish(1.0)
    assert 9 <= len(side.heard) <= 11
    assert f"{100 - len(side.heard)} requests were not fired" in caplog.text


def test_listeners_that_fall_behind_are_told_of_once(
    side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for number in range(4):
            side.queue.add(rows(number * 20_000, 20_000))
    assert caplog.text.count("60000 requests behind") == 1


def test_a_listener_that_stops_the_test_is_heard_where_the_run_is_followed(side: Side) -> None:
    def enough(place: int) -> None:
        if place == 7:
            raise StopTest("enough")

    side.listener = enough
    side.queue.add(rows(0, 20))
    side.queue.raise_stop()
    side.queue.finish(1.0)
    assert side.heard == list(range(20))  # statistics are a listener, too
    with pytest.raises(StopTest, match="enough"):
        side.queue.raise_stop()
    side.queue.raise_stop()


def test_exceptions_that_are_of_tasks_stop_nothing(side: Side) -> None:
    def again(place: int) -> None:
        raise RescheduleTask

    side.listener = again
    side.queue.add(rows(0, 5))
    side.queue.finish(1.0)
    side.queue.raise_stop()
    assert len(side.heard) == 5
