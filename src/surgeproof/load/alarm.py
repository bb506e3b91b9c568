"""Waking an event loop at an exact moment: a timerfd where there is one, else the loop's timer.

Event loops round their timers to a millisecond; a timerfd wakes epoll with nanosecond resolution
and costs nothing while it waits. `os.timerfd_create` exists from Python 3.13 on; below, the same
two system calls are made through libc.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Protocol

__all__ = ["Alarm", "LoopAlarm", "TimerAlarm", "make_alarm"]

# <sys/timerfd.h> and <time.h> of Linux, the same on every architecture.
_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1


class Alarm(Protocol):
    """Calls back at the moment last set; a moment that has passed calls back at once."""

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


class TimerAlarm:
    """An alarm on a timerfd, for Linux.

    Raises:
        OSError: the system gives no timerfd.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._descriptor = int(self._libc.timerfd_create(_CLOCK_MONOTONIC, flags))
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._loop, self._call = loop, call
        loop.add_reader(self._descriptor, self._ring)

    def set(self, moment: float) -> None:
        # A value of zero would disarm the timer, and so would never ring.
        nanoseconds = max(1, int(moment * 1e9))
        value = _Timespec(*divmod(nanoseconds, 10**9))
        spec = _Itimerspec(_Timespec(0, 0), value)
        pointer = ctypes.byref(spec)
        if self._libc.timerfd_settime(self._descriptor, _TFD_TIMER_ABSTIME, pointer, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def close(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 8)
        self._call()


class LoopAlarm:
    """An alarm on the loop's own timers, about a millisecond coarse."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        call: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._loop, self._call, self._monotonic = loop, call, monotonic
        self._timer: asyncio.TimerHandle | None = None

    def set(self, moment: float) -> None:
        self.close()
        self._timer = self._loop.call_later(max(0.0, moment - self._monotonic()), self._call)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def make_alarm(
    loop: asyncio.AbstractEventLoop, call: Callable[[], None], monotonic: Callable[[], float]
) -> Alarm:
    """Return the best alarm that this system has."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            return TimerAlarm(loop, call)
    return LoopAlarm(loop, call, monotonic)
