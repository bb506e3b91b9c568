"""A clock that only moves when somebody sleeps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def utc_now(self) -> datetime:
        return datetime(2023, 7, 5, 23, tzinfo=UTC)

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
