"""Time as a parameter: the one way this package reads a clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """A source of time. Tests pass a fake that never sleeps."""

    def monotonic(self) -> float:
        """Return seconds on CLOCK_MONOTONIC, comparable between processes of one machine."""
        ...

    def utc_now(self) -> datetime:
        """Return the wall clock as an aware UTC datetime."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Wait for ``duration_s`` seconds (nothing if it is not positive)."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def utc_now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, duration_s: float) -> None:
        if duration_s > 0:
            time.sleep(duration_s)
