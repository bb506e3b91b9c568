"""Code that blocks the event loop is found by overdue beats and named by the stack."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from types import CodeType, FrameType

import pytest

from surgeproof.load.watchdog import Watchdog, journey_codes, locate

PERIOD_S = 0.02

Probe = Callable[[FrameType], None]


def read(probe: Probe) -> None:
    probe(sys._getframe())


def think(probe: Probe) -> None:
    compute(probe)


def compute(probe: Probe) -> None:
    # As a library would, from the file of another: json calls back into us.
    json.dumps(object(), default=lambda _: probe(sys._getframe().f_back or sys._getframe()))


CODES = journey_codes({"GET /a": read, "think": think})


class Loop:
    """A loop that beats when told to, and a stack that is what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.frame: FrameType | None = None
        self.beat_s = 0.0
        self.dog = Watchdog(lambda: self.frame, CODES, self.said.append, period_s=PERIOD_S)

    def look(self, now_s: float, frame: FrameType | None = None) -> bool:
        self.frame = frame
        return self.dog.look(now_s, self.beat_s)

    def beat(self, now_s: float) -> None:
        self.beat_s = now_s
        self.look(now_s)

    def block(self, journey: Callable[[Probe], None], begin_s: float, lasts_s: float) -> None:
        """Let a journey block from a beat on, looked at every 5 ms."""
        self.beat(begin_s)

        def probe(frame: FrameType) -> None:
            for number in range(round((PERIOD_S + lasts_s) / 0.005)):
                self.look(begin_s + number * 0.005, frame)

        journey(probe)
        # The beat that was due after the period comes after the block.
        self.beat(begin_s + PERIOD_S + lasts_s)


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_a_journey_that_blocks_is_counted_and_named(loop: Loop) -> None:
    loop.block(read, 10.0, 0.2)
    (blocked,) = loop.dog.blocked
    assert (blocked.place.journey, blocked.place.function) == ("GET /a", "read")
    assert blocked.place.file.endswith("test_watchdog.py")
    assert blocked.place.line == read.__code__.co_firstlineno + 1
    assert blocked.count == 1
    assert blocked.longest_s == pytest.approx(0.2)
    (said,) = loop.said
    assert "journey 'GET /a' blocked the event loop for 200 ms at " in said
    assert f"test_watchdog.py:{blocked.place.line} in read" in said


def test_the_place_is_the_authors_line_and_not_the_librarys(loop: Loop) -> None:
    loop.block(think, 10.0, 0.2)
    (blocked,) = loop.dog.blocked
    assert (blocked.place.journey, blocked.place.function) == ("think", "compute")


def test_a_beat_on_time_accuses_nobody(loop: Loop) -> None:
    def probe(frame: FrameType) -> None:
        for number in range(50):
            loop.beat_s = number * PERIOD_S
            assert not loop.look(loop.beat_s + 0.019, frame)

    read(probe)
    loop.dog.close(2.0)
    assert loop.dog.blocked == []
    assert loop.said == []


@pytest.mark.parametrize(
    ("lasts_s", "count"),
    [
        pytest.param(0.045, 0, id="shorter than 50 ms"),
        pytest.param(0.065, 1, id="longer than 50 ms"),
    ],
)
def test_fifty_milliseconds_are_the_bound(loop: Loop, lasts_s: float, count: int) -> None:
    loop.block(read, 10.0, lasts_s)
    assert sum(each.count for each in loop.dog.blocked) == count


def test_an_overloaded_loop_has_another_arrival_at_each_look_and_names_none(loop: Loop) -> None:
    loop.beat(10.0)
    for number in range(100):
        now_s = 10.0 + number * 0.005

        def probe(frame: FrameType, now_s: float = now_s) -> None:
            loop.look(now_s, frame)

        read(probe)
    loop.beat(10.5)
    assert loop.dog.blocked == []


def test_a_loop_held_up_outside_of_the_authors_code_names_none(loop: Loop) -> None:
    loop.beat(10.0)
    for number in range(40):
        loop.look(10.0 + number * 0.005, None)
    loop.beat(10.2)
    assert loop.dog.blocked == []


def test_a_place_is_told_once_in_ten_seconds_and_counted_each_time(loop: Loop) -> None:
    for number in range(30):
        loop.block(read, 10.0 + number * 0.5, 0.1 + number * 0.001)
    (blocked,) = loop.dog.blocked
    assert blocked.count == 30
    assert blocked.longest_s == pytest.approx(0.129)
    assert len(loop.said) == 2
    assert "21 times so far" in loop.said[1]


def test_what_hangs_is_told_while_it_hangs(loop: Loop) -> None:
    loop.beat(10.0)

    def probe(frame: FrameType) -> None:
        for number in range(300):
            loop.look(10.0 + number * 0.005, frame)
        assert len(loop.said) == 1

    read(probe)
    assert "has blocked the event loop for 1.0 s" in loop.said[0]
    loop.dog.close(11.5)
    assert loop.dog.blocked[0].longest_s == pytest.approx(1.48)


def test_the_pulse_line_has_the_worst_places_first(loop: Loop) -> None:
    assert loop.dog.line() == {"blocked": []}
    loop.block(read, 10.0, 0.1)
    loop.block(think, 20.0, 0.3)
    line = loop.dog.line()["blocked"]
    assert isinstance(line, list)
    assert [each["journey"] for each in line] == ["think", "GET /a"]
    assert json.loads(json.dumps(line[0])) == {
        "journey": "think",
        "place": line[0]["place"],
        "function": "compute",
        "count": 1,
        "longest_s": 0.3,
    }


def test_code_in_a_task_of_its_own_is_named_without_a_journey() -> None:
    def helper(probe: Probe) -> None:
        probe(sys._getframe())

    found: list[tuple[FrameType, object]] = []

    def probe(frame: FrameType) -> None:
        place = locate(frame, {})
        assert place is not None
        found.append(place)

    helper(probe)
    assert str(found[0][1]).startswith(("tests", "/"))


def test_a_wrapped_journey_is_known_by_its_inner_code() -> None:
    @functools.wraps(read)
    def wrapper(probe: Probe) -> None:
        read(probe)

    codes = journey_codes({"GET /a": wrapper})
    assert read.__code__ in codes
    assert all(isinstance(code, CodeType) for code in codes)
    assert len(codes) == 2
