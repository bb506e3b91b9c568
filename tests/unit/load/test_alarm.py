"""Alarms on a real loop: they ring once, never early, and not after they are closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from surgeproof.load.alarm import Alarm, SpinAlarm, TimerAlarm, make_alarm

Make = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Alarm]


def spinning(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> Alarm:
    return SpinAlarm(loop, call, time.monotonic)


@pytest.mark.parametrize("make", [TimerAlarm, spinning], ids=["timerfd", "spin"])
@pytest.mark.parametrize("wait_s", [-1.0, 0.0, 0.004], ids=["passed", "now", "ahead"])
def test_an_alarm_rings_once_and_never_early(make: Make, wait_s: float) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        rings: list[float] = []
        alarm = make(loop, lambda: rings.append(time.monotonic()))
        moment = time.monotonic() + wait_s
        alarm.set(moment)
        while not rings:  # noqa: ASYNC110 - whether the loop lives meanwhile is the question
            await asyncio.sleep(0)
        assert rings[0] >= moment
        await asyncio.sleep(0.001)
        assert len(rings) == 1
        alarm.close()

    asyncio.run(check())


@pytest.mark.parametrize("make", [TimerAlarm, spinning], ids=["timerfd", "spin"])
def test_an_alarm_that_is_set_anew_or_closed_does_not_ring_for_what_was_set_before(
    make: Make,
) -> None:
    async def check() -> None:
        rings: list[float] = []
        loop = asyncio.get_running_loop()
        alarm = make(loop, lambda: rings.append(time.monotonic()))
        alarm.set(time.monotonic() + 0.002)
        later = time.monotonic() + 0.006
        alarm.set(later)
        while not rings:  # noqa: ASYNC110 - whether the loop lives meanwhile is the question
            await asyncio.sleep(0)
        assert rings[0] >= later
        alarm.set(time.monotonic() + 0.001)
        alarm.close()
        await asyncio.sleep(0.004)
        assert len(rings) == 1

    asyncio.run(check())


def test_a_spinning_alarm_wakes_earlier_when_the_loop_wakes_late() -> None:
    class Loop:
        def __init__(self) -> None:
            self.waits: list[float] = []
            self.call: Callable[[], None] | None = None

        def call_later(self, wait_s: float, call: Callable[[], None]) -> Loop:
            self.waits.append(wait_s)
            self.call = call
            return self

        def call_soon(self, call: Callable[[], None]) -> Loop:
            self.call = call
            return self

        def cancel(self) -> None:
            self.call = None

    now = 0.0
    loop = Loop()
    alarm = SpinAlarm(loop, lambda: None, lambda: now)  # type: ignore[arg-type]
    alarm.set(1.0)
    assert loop.waits[-1] == pytest.approx(1.0 - 0.0015)
    now = 1.0 - 0.0015 + 0.003
    assert loop.call is not None
    loop.call()
    alarm.set(now + 1.0)
    assert loop.waits[-1] == pytest.approx(1.0 - 0.006)
    now += loop.waits[-1]
    loop.call()
    alarm.set(now + 1.0)
    assert loop.waits[-1] == pytest.approx(1.0 - 0.0057)


def test_this_system_has_a_timer_of_its_own() -> None:
    async def check() -> None:
        alarm = make_alarm(asyncio.get_running_loop(), lambda: None, time.monotonic)
        assert alarm.name.startswith("timerfd")
        alarm.close()

    asyncio.run(check())
