from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.errors import UsageError
from surgeproof.load.arrivals import ARRIVAL_KINDS, arrival_times, curve_of, validate_part
from surgeproof.load.arrivals.bent import LAUNCH_POINTS
from surgeproof.model.plan import ArrivalPart

PHASE_S = 20.0

constant = st.builds(lambda rate: ArrivalPart("constant", {"rate": rate}), st.floats(0, 200))
ramp = st.builds(
    lambda first, last: ArrivalPart("ramp", {"from": first, "to": last}),
    st.floats(0, 200),
    st.floats(0, 200),
)
burst = st.builds(
    lambda at, length, rate: ArrivalPart("burst", {"at": at, "for": length, "rate": rate}),
    st.floats(0, PHASE_S - 5),
    st.floats(0.01, 5),
    st.floats(0, 500),
)
launch = st.builds(
    lambda peak, hours: ArrivalPart("launch_curve", {"peak": peak, "hours": hours}),
    st.floats(0, 200),
    st.floats(1, 120),
)
even_parts = st.lists(st.one_of(constant, ramp, burst, launch), min_size=1, max_size=4)


@given(st.one_of(constant, ramp, burst, launch))
def test_the_expected_count_never_falls(part: ArrivalPart) -> None:
    curve = curve_of(part, PHASE_S)
    at = np.linspace(0, PHASE_S, 1001)
    assert np.all(np.diff(curve.reached(at)) >= -1e-9)
    assert np.all(curve.rate(at) >= -1e-9)


@given(st.one_of(constant, ramp, launch))
def test_the_rate_is_the_slope_of_the_expected_count(part: ArrivalPart) -> None:
    curve = curve_of(part, PHASE_S)
    at = np.linspace(0.01, PHASE_S - 0.01, 301)
    step = 1e-5
    slope = (curve.reached(at + step) - curve.reached(at - step)) / (2 * step)
    np.testing.assert_allclose(slope, curve.rate(at), atol=0.2, rtol=1e-3)


@given(even_parts, st.floats(0, PHASE_S))
def test_even_arrivals_follow_the_curve_within_half_a_step(
    parts: list[ArrivalPart], moment: float
) -> None:
    times = arrival_times(parts, PHASE_S, (1,))
    expected = sum(float(curve_of(part, PHASE_S).reached(np.array([moment]))[0]) for part in parts)
    arrived = int(np.count_nonzero(times <= moment))
    # Two roundings: of the count to a half, of the moment to a float.
    assert abs(arrived - expected) <= 0.5 + 1e-3


@given(even_parts)
def test_times_are_sorted_and_within_their_phase(parts: list[ArrivalPart]) -> None:
    times = arrival_times(parts, PHASE_S, (1,))
    assert np.all(np.diff(times) >= 0)
    assert np.all((times >= 0) & (times < PHASE_S))


def test_an_even_rate_puts_arrivals_in_the_middle_of_their_steps() -> None:
    times = arrival_times([ArrivalPart("constant", {"rate": 10})], 0.35, (1,))
    # 3.5 arrivals are expected, and the fourth comes where the count reaches 3.5: at the very end.
    np.testing.assert_allclose(times, [0.05, 0.15, 0.25, 0.35], atol=1e-9)


def test_a_ramp_from_zero_arrives_at_square_roots() -> None:
    # R(t) = t^2, so the k-th arrival is at sqrt(k - 1/2).
    times = arrival_times([ArrivalPart("ramp", {"from": 0, "to": 20})], 10.0, (1,))
    np.testing.assert_allclose(times, np.sqrt(np.arange(100) + 0.5), atol=1e-8)


def test_a_burst_adds_its_arrivals_where_it_is_and_nowhere_else() -> None:
    plain = ArrivalPart("constant", {"rate": 10})
    spike = ArrivalPart("spike", {"at": 4, "for": 2, "rate": 25})
    times = arrival_times([plain, spike], 10.0, (1,))
    counts = np.bincount(times.astype(int), minlength=10)
    assert counts.tolist() == [10, 10, 10, 10, 35, 35, 10, 10, 10, 10]


def test_the_launch_curve_passes_the_published_points() -> None:
    curve = curve_of(ArrivalPart("launch_curve", {"peak": 1000}), 120.0)
    whole = float(curve.reached(np.array([120.0]))[0])
    for hours, millions in LAUNCH_POINTS:
        share = float(curve.reached(np.array([float(hours)]))[0]) / whole
        assert share == pytest.approx(millions / 100, abs=1e-12)


@pytest.mark.parametrize("hours", [1, 7, 16, 48, 120])
def test_the_launch_curve_peaks_at_the_rate_asked_for(hours: float) -> None:
    curve = curve_of(ArrivalPart("launch_curve", {"peak": 70, "hours": hours}), 100.0)
    highest = float(curve.rate(np.linspace(0, 100, 100_001)).max())
    assert highest == pytest.approx(70, rel=1e-4)


def test_poisson_counts_spread_as_a_poisson_process_does() -> None:
    times = arrival_times([ArrivalPart("poisson", {"rate": 50})], 400.0, (7,))
    counts = np.bincount(times.astype(int), minlength=400)
    # The mean of 400 counts has a standard error of sqrt(50/400) = 0.35; their variance over their
    # mean is 1 with a standard error of sqrt(2/400) = 0.07. Five of each: the seed is fixed anyway.
    assert abs(counts.mean() - 50) < 5 * 0.36
    assert abs(counts.var() / counts.mean() - 1) < 5 * 0.071


def test_poisson_arrivals_depend_on_the_seed_and_on_nothing_else() -> None:
    part = ArrivalPart("poisson", {"rate": 30})
    again = arrival_times([part], 10.0, (1,))
    assert np.array_equal(arrival_times([part], 10.0, (1,)), again)
    assert not np.array_equal(arrival_times([part], 10.0, (2,)), again)


def test_two_poisson_parts_are_independent_of_each_other() -> None:
    part = ArrivalPart("poisson", {"rate": 30})
    one = arrival_times([part], 10.0, (1,))
    both = arrival_times([part, part], 10.0, (1,))
    assert len(np.unique(both)) == len(both)
    assert set(one) < set(both)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (ArrivalPart("wave", {}), "'wave' is no arrival kind; accepted: constant, ramp"),
        (ArrivalPart("constant", {}), "constant needs 'rate', a rate"),
        (ArrivalPart("constant", {"rate": 1, "peak": 2}), "constant has no parameter 'peak'"),
        (ArrivalPart("constant", {"rate": -1}), "constant.rate is -1; accepted: 0 to inf"),
        (ArrivalPart("constant", {"rate": math.nan}), "constant.rate is nan"),
        (ArrivalPart("constant", {"rate": math.inf}), "constant.rate is inf"),
        (ArrivalPart("launch_curve", {"peak": 1, "hours": 121}), "accepted: 1 to 120"),
        (
            ArrivalPart("burst", {"at": 18, "for": 3, "rate": 5}),
            "burst ends 21s into its phase, which lasts 20s only",
        ),
    ],
    ids=[
        "unknown kind",
        "missing parameter",
        "unknown parameter",
        "negative rate",
        "not a number",
        "endless rate",
        "more hours than were published",
        "burst past the phase",
    ],
)
def test_a_part_that_is_not_valid_says_why(part: ArrivalPart, message: str) -> None:
    assert message in "; ".join(validate_part(part, PHASE_S))
    with pytest.raises(UsageError):
        arrival_times([part], PHASE_S, (1,))


def test_a_burst_may_end_exactly_with_its_phase() -> None:
    part = ArrivalPart("burst", {"at": 14, "for": 6, "rate": 5})
    assert validate_part(part, PHASE_S) == []


def test_every_kind_is_described_and_listed_under_its_own_name() -> None:
    for name, kind in ARRIVAL_KINDS.items():
        assert kind.name == name
        assert kind.summary
        assert all(
            p.unit in {"rate", "duration", "number", "rates", "path", "text", "moment", "word"}
            for p in kind.parameters.values()
        )
