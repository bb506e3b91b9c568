"""The stalling server's clock, and what an ideal client must report of it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.stall import Stall

STALL = Stall(every_s=10.0, length_s=2.0, phase_s=4.0)


@pytest.mark.parametrize(
    ("moment_s", "end_s"),
    [
        pytest.param(0.0, None, id="the first request"),
        pytest.param(3.999, None, id="just before the first stall"),
        pytest.param(4.0, 6.0, id="as it begins"),
        pytest.param(5.5, 6.0, id="within it"),
        pytest.param(6.0, None, id="as it ends"),
        pytest.param(14.5, 16.0, id="within the second"),
    ],
)
def test_a_stall_holds_what_arrives_in_it_until_its_end(
    moment_s: float, end_s: float | None
) -> None:
    assert STALL.end_after(moment_s) == (None if end_s is None else pytest.approx(end_s))


def test_no_stall_reaches_back_before_the_first_request() -> None:
    late = Stall(every_s=10.0, length_s=8.0, phase_s=6.0)
    assert late.end_after(1.0) is None


def test_the_truth_is_the_wait_for_the_end_of_the_stall() -> None:
    # 800 of 4000 wait: 2.000, 1.995, ... 0.005 s, each of them twice.
    truth = STALL.truth(rate_per_s=200.0, duration_s=20.0)
    assert (truth.sent, truth.p50_s) == (4000, 0.0)
    assert (truth.p90_s, truth.p99_s, truth.max_s) == pytest.approx((1.0, 1.9, 2.0))
    assert STALL.holds(np.arange(4000) / 200) == 800
