"""Judging arrivals against an even grid, with answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.evenness import Evenness, evenness_of
from surgeproof.errors import EnvironmentNotReadyError

# Any moment of the monotonic clock: only differences count.
START_S = 12345.0


def judge(since_start_s: list[float], *, skip_s: float = 0.0) -> Evenness:
    arrivals = START_S + np.array(since_start_s)
    return evenness_of(arrivals, rate_per_s=100.0, duration_s=4.0, skip_s=skip_s)


def test_an_even_schedule_has_no_lag_and_fills_every_bin_alike() -> None:
    found = judge([k / 100 for k in range(400)])
    # The last quarter of a second is left out.
    assert found.arrivals == 375
    assert found.rate_per_s == pytest.approx(100.0)
    assert found.lag_p99_s == pytest.approx(0.0, abs=1e-9)
    assert found.worst_bin_ratio == pytest.approx(1.0)


def test_lag_is_what_an_arrival_lies_behind_its_slot() -> None:
    late = [k / 100 + (0.003 if k % 10 == 9 else 0.0) for k in range(400)]
    found = judge(late)
    assert found.lag_p50_s == pytest.approx(0.0, abs=1e-9)
    assert found.lag_p99_s == pytest.approx(0.003)
    assert found.late_ratio == 0.0
    # Less than half a gap: still one to a bin.
    assert found.worst_bin_ratio == pytest.approx(1.0)


def test_a_burst_is_uneven_though_its_rate_is_right() -> None:
    # Twenty at once every 0.2 s: the first of each comes 19 slots after the one that is on time.
    found = judge([k // 20 * 0.2 for k in range(400)])
    assert found.rate_per_s == pytest.approx(100.0)
    assert found.worst_bin_ratio == pytest.approx(20.0)
    assert found.lag_p99_s == pytest.approx(0.19)
    # One bin in twenty holds them all; every burst but its last arrival comes late.
    assert found.even_bins_ratio == pytest.approx(0.95, abs=0.01)
    assert found.late_ratio > 0.8


def test_a_rate_that_is_not_held_shows_as_lag() -> None:
    found = judge([k / 80 for k in range(320)])
    assert found.rate_per_s == pytest.approx(80.0)
    # After 3.75 s a fifth of the schedule is still to come.
    assert found.lag_p99_s == pytest.approx(0.75, rel=0.05)


def test_arrivals_before_the_skip_and_in_the_tail_are_not_judged() -> None:
    wild_start = [0.0] * 50
    wild_end = [3.8] * 50
    found = judge(wild_start + [k / 100 for k in range(100, 375)] + wild_end, skip_s=1.0)
    assert found.arrivals == 275


@pytest.mark.parametrize("count", [0, 1, 19])
def test_too_few_arrivals_are_no_number_at_all(count: int) -> None:
    with pytest.raises(EnvironmentNotReadyError, match=f"only {count} arrivals"):
        judge([k / 100 for k in range(count)])
