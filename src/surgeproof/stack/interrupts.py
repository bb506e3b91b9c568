"""Stretches of code that an interrupt must not cut in two."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interrupts_deferred", "leave_at_once"]


def leave_at_once(number: int, _frame: FrameType | None) -> None:
    """End this process now, without any cleaning up: the handler for who asks a second time."""
    os._exit(128 + number)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block is done, then let them do what they do.

    The handlers are swapped, not the signal mask: that would be inherited by what is started in
    the block, and another thread would take the signal anyway. Handlers run in the main thread,
    so elsewhere there is nothing to hold back. Where `leave_at_once` is in force it stays so:
    somebody who asks a second time is not to wait.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    before = {
        number: signal.signal(number, hold)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not leave_at_once
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            # None is a handler that was not set from Python, and cannot be set back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for held_number in dict.fromkeys(held):
            signal.raise_signal(held_number)
