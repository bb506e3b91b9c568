"""Time as a parameter: the one way the service reads a clock."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """A source of time. Tests pass a fake that they move by hand."""

    def monotonic(self) -> float:
        """Return seconds that never jump, comparable within this process only."""
        ...

    def wall(self) -> float:
        """Return seconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()
