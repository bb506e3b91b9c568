"""The gevent hub as the event loop that alarms need: it wakes at a moment, and calls back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from gevent import get_hub

__all__ = ["hub_loop"]

_READABLE = 1  # libev's EV_READ


class _Timer:
    """A call that is due; can be cancelled."""

    def __init__(self, watcher: Any) -> None:
        self._watcher = watcher

    def cancel(self) -> None:
        self._watcher.stop()
        self._watcher.close()


class _HubLoop:
    """The methods of an event loop that `surgeproof.load.alarm` uses."""

    def __init__(self) -> None:
        self._loop = get_hub().loop
        self._readers: dict[int, Any] = {}

    def add_reader(self, descriptor: int, call: Callable[[], None]) -> None:
        watcher = self._loop.io(descriptor, _READABLE)
        watcher.start(call)
        self._readers[descriptor] = watcher

    def remove_reader(self, descriptor: int) -> bool:
        watcher = self._readers.pop(descriptor, None)
        if watcher is None:
            return False
        watcher.stop()
        watcher.close()
        return True

    def call_later(self, delay_s: float, call: Callable[[], None]) -> _Timer:
        watcher = self._loop.timer(delay_s)
        # libev counts from when its iteration began; the delay was reckoned now.
        watcher.start(call, update=True)
        return _Timer(watcher)

    def call_soon(self, call: Callable[[], None]) -> _Timer:
        return _Timer(self._loop.run_callback(call))


def hub_loop() -> asyncio.AbstractEventLoop:
    """Return the running thread's hub in the shape of an asyncio loop, for alarms only.

    What an alarm calls then runs in the hub itself, and must never wait.
    """
    # Only these methods are ever called; the type is that of the alarm's parameter.
    return cast("asyncio.AbstractEventLoop", _HubLoop())
