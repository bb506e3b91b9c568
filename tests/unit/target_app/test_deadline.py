"""Deadlines as they travel from service to service."""

from __future__ import annotations

import pytest

from target_app.edge import Deadline


class HandClock:
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("header", "remaining_s"),
    [
        pytest.param("250", 0.25, id="what the caller has left"),
        pytest.param(None, 2.0, id="no header"),
        pytest.param("9000", 2.0, id="a caller cannot lengthen it"),
        pytest.param("0", 0.0, id="nothing left"),
        pytest.param("-5", 0.0, id="less than nothing left"),
        pytest.param("soon", 2.0, id="no number"),
    ],
)
def test_the_header_shortens_the_default(header: str | None, remaining_s: float) -> None:
    clock = HandClock()
    deadline = Deadline.from_header(header, clock, default_s=2.0)
    assert deadline.remaining_s(clock) == pytest.approx(remaining_s)


def test_the_time_spent_here_is_missing_from_the_header_handed_on() -> None:
    clock = HandClock()
    deadline = Deadline.from_header("800", clock, default_s=2.0)
    clock.now_s += 0.3
    assert abs(int(deadline.to_header(clock)) - 500) <= 1
    clock.now_s += 9
    assert deadline.to_header(clock) == "0"
