"""Ctrl-C and SIGTERM during a run: the first ends it in order, the second at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from surgeproof.model.words import ExitCode
from surgeproof.stack.interrupts import leave_at_once

__all__ = ["InterruptedRunError", "interruptible"]


class InterruptedRunError(KeyboardInterrupt):
    """A signal asked the run to end; ``code`` is the exit code that goes with it.

    It is no `SurgeproofError`, as `KeyboardInterrupt` is no `Exception`: it comes between any two
    steps, and whoever goes on after a step that failed must not go on after this.
    """

    def __init__(self, number: int) -> None:
        self.code = ExitCode(128 + number)
        super().__init__(f"interrupted by {signal.Signals(number).name}")


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into `InterruptedRunError` in the main thread.

    A second one ends the process at once: the guardian, which sees its pipe close, then removes
    the faults and ends the processes. Must be entered in the main thread.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)

    def handle(number: int, _frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, leave_at_once)
        raise InterruptedRunError(number)

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
