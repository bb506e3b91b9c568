"""Ctrl-C and SIGTERM during a run: the first ends it in order, the second at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from surgeproof.errors import SurgeproofError
from surgeproof.model.words import ExitCode

__all__ = ["InterruptedRunError", "interruptible"]


class InterruptedRunError(SurgeproofError):
    """A signal asked the run to end; ``code`` is the exit code that goes with it."""

    def __init__(self, number: int) -> None:
        self.code = ExitCode(128 + number)
        super().__init__(f"interrupted by {signal.Signals(number).name}")


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into `InterruptedRunError` in the main thread.

    A second one ends the process at once: the guardian, which sees its pipe close, then removes
    the faults and ends the processes. Must be entered in the main thread.
    """
    seen = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        if seen:
            os._exit(128 + number)
        seen = True
        raise InterruptedRunError(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
