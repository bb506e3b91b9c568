"""Waking the event loop at a moment: by a timerfd where there is one, to some 20 microseconds.

The loop's own timers count in whole milliseconds, and so does everybody's who sleeps on epoll.
Python has timerfd calls from 3.13 on; before, they are made through libc. Where there is no
timerfd at all, the loop's timer wakes early and the rest of the wait is spun.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Protocol

__all__ = ["Alarm", "SpinAlarm", "TimerAlarm", "make_alarm"]

# <sys/timerfd.h> and <time.h> of Linux, the same on every architecture.
_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
# How early a spinning alarm wakes at first, at least and at most. The loop's timer is 1 ms
# coarse; what it proves to be late by is what the margin follows.
_FIRST_MARGIN_S, _LEAST_MARGIN_S, _MOST_MARGIN_S = 0.0015, 0.0005, 0.01


class Alarm(Protocol):
    """Calls back at the moment last set; a moment that has passed calls back at once.

    ``name`` says what it is made of, for the record.
    """

    @property
    def name(self) -> str: ...

    def set(self, moment: float) -> None:
        """Ask for one call at ``moment``, in seconds on CLOCK_MONOTONIC."""
        ...

    def close(self) -> None:
        """Never call again."""
        ...


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class _SystemTimer:
    """A timerfd by Python's own calls, 3.13 or newer."""

    name = "timerfd"

    def __init__(self) -> None:
        # Looked up by name, for older interpreters (and their type information) have none.
        self._settime: Callable[..., object] = vars(os)["timerfd_settime_ns"]
        create: Callable[..., int] = vars(os)["timerfd_create"]
        self.descriptor = create(_CLOCK_MONOTONIC, flags=os.O_NONBLOCK | os.O_CLOEXEC)

    def set(self, nanoseconds: int) -> None:
        self._settime(self.descriptor, flags=_TFD_TIMER_ABSTIME, initial=nanoseconds)


class _LibcTimer:
    """A timerfd by calls to libc."""

    name = "timerfd (libc)"

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self.descriptor = int(libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._spec = _Itimerspec()
        self._value, self._pointer = self._spec.value, ctypes.byref(self._spec)

    def set(self, nanoseconds: int) -> None:
        value = self._value
        value.seconds, value.nanoseconds = divmod(nanoseconds, 1_000_000_000)
        if self._settime(self.descriptor, _TFD_TIMER_ABSTIME, self._pointer, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")


class TimerAlarm:
    """An alarm on a timerfd, for Linux.

    Raises:
        OSError: the system gives no timerfd.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self._timer = _SystemTimer() if hasattr(os, "timerfd_create") else _LibcTimer()
        self._loop, self._call = loop, call
        self._descriptor = self._timer.descriptor
        loop.add_reader(self._descriptor, self._ring)

    @property
    def name(self) -> str:
        return self._timer.name

    def set(self, moment: float) -> None:
        # A value of zero would disarm the timer, and so would never ring.
        self._timer.set(max(1, int(moment * 1e9)))

    def close(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 8)
        self._call()


class SpinAlarm:
    """An alarm on the loop's own timers that wakes early and spins for the rest.

    While it spins the loop goes on with its other work. How early it wakes follows how late the
    loop's timer last was: twice that, shrinking by a twentieth with each time it was not needed.
    """

    name = "spin"

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        call: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._loop, self._call, self._monotonic = loop, call, monotonic
        self._margin_s = _FIRST_MARGIN_S
        self._handle: asyncio.Handle | None = None
        self._moment = self._wake = 0.0

    def set(self, moment: float) -> None:
        self.close()
        self._moment, self._wake = moment, moment - self._margin_s
        wait_s = self._wake - self._monotonic()
        if wait_s > 0:
            self._handle = self._loop.call_later(wait_s, self._come_near)
        else:
            self._handle = self._loop.call_soon(self._spin)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _come_near(self) -> None:
        late_s = self._monotonic() - self._wake
        margin_s = max(2 * late_s, 0.95 * self._margin_s)
        self._margin_s = min(max(margin_s, _LEAST_MARGIN_S), _MOST_MARGIN_S)
        self._spin()

    def _spin(self) -> None:
        if self._monotonic() >= self._moment:
            self._handle = None
            self._call()
        else:
            self._handle = self._loop.call_soon(self._spin)


def make_alarm(
    loop: asyncio.AbstractEventLoop, call: Callable[[], None], monotonic: Callable[[], float]
) -> Alarm:
    """Return the best alarm that this system has."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            return TimerAlarm(loop, call)
    return SpinAlarm(loop, call, monotonic)
