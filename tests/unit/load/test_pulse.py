from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.load.histogram import Histogram, RollingHistogram
from surgeproof.load.pulse import Counts, Pulse
from surgeproof.load.recorder import SampleRow

# Half a bucket of 2^(1/64), and a rounding.
BUCKET = 0.0056

COUNTS = Counts(scheduled=10, sent=8, late=1, completed=7, dropped=2, in_flight=1, queued=0)


def row(response_s: float | None, outcome: str = "full") -> SampleRow:
    end_s = None if response_s is None else 5 + response_s
    return SampleRow(5, 5, 5, end_s, 0, 1, 1, 1, "a", "GET", "", "p", outcome, "", "", 200, 1, 1)


@given(st.lists(st.floats(1e-5, 60), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_within_a_bucket_of_the_exact_one(values: list[float], q: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = float(np.quantile(values, q, method="inverted_cdf"))
    assert histogram.quantile(q) == pytest.approx(exact, rel=BUCKET)


def test_an_empty_histogram_has_no_quantile() -> None:
    assert Histogram().quantile(0.99) is None


def test_old_seconds_leave_the_rolling_view_and_stay_in_the_whole() -> None:
    rolling = RollingHistogram(seconds=2)
    rolling.add(1.0)
    rolling.next_second()
    assert rolling.recent(0.99) == pytest.approx(1.0, rel=BUCKET)
    rolling.next_second()
    assert rolling.recent(0.99) is None
    rolling.add(0.1)
    assert rolling.recent(1.0) == pytest.approx(0.1, rel=BUCKET)
    assert rolling.whole(1.0) == pytest.approx(1.0, rel=BUCKET)


def test_a_line_has_cumulative_counts_and_rolling_quantiles() -> None:
    pulse = Pulse()
    pulse.begin(100.0, 1.0)
    pulse.sample(row(0.2))
    pulse.sample(row(None, "error"))
    pulse.sample(row(0.3, "wrong"))
    pulse.lag(0.004)
    line = pulse.line(1.0, COUNTS, 101.0, 1.25)
    assert (line["scheduled"], line["sent"], line["dropped"]) == (10, 8, 2)
    assert (line["requests"], line["errors"]) == (3, 2)
    assert line["p99_s"] == pytest.approx(0.3, rel=BUCKET)
    assert line["lag_p99_s"] == pytest.approx(0.004, rel=BUCKET)
    assert line["loop_lag_p99_s"] is None
    assert line["cpu_ratio"] == 0.25
    assert "end" not in line


def test_the_last_line_speaks_of_the_whole_run() -> None:
    pulse = Pulse()
    pulse.begin(100.0, 1.0)
    pulse.sample(row(2.0))
    for second in range(10):
        pulse.line(second, COUNTS, 101.0 + second, 1.0)
    pulse.sample(row(0.1))
    assert pulse.line(10, COUNTS, 111.0, 1.0)["p99_s"] == pytest.approx(0.1, rel=BUCKET)
    last = pulse.line(10, COUNTS, 120.0, 11.0, is_end=True)
    assert last["end"] is True
    assert last["p99_s"] == pytest.approx(2.0, rel=BUCKET)
    assert last["cpu_ratio"] == 0.5


def test_processor_time_that_nobody_knows_is_left_open() -> None:
    pulse = Pulse()
    pulse.begin(100.0, None)
    assert pulse.line(1.0, COUNTS, 101.0, 1.0)["cpu_ratio"] is None
