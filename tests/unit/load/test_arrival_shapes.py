"""Each shape of arrivals against an answer of its own: formulas in rational numbers, chi-square."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from surgeproof.errors import UsageError
from surgeproof.load.arrivals import Arrivals, curve_of, validate_part
from surgeproof.load.arrivals.curve import invert
from surgeproof.load.schedule import build_schedule
from surgeproof.model.plan import ArrivalPart, Load, Numbers, Phase

MakeLoad = Callable[..., Load]

PHASE_S = 20.0
# The grid of a schedule is a nanosecond: a moment may be wrong by less than half of one.
HALF_A_TICK_S = 0.5e-9


def columns(**values: list[float]) -> dict[str, Numbers]:
    return {name: Numbers.of(column) for name, column in values.items()}


def rows(times: list[float], rates: list[float], **changes: object) -> ArrivalPart:
    return ArrivalPart("csv", {}, columns=columns(times=times, rates=rates), **changes)  # type: ignore[arg-type]


def times(*parts: ArrivalPart, duration_s: float = PHASE_S, seed: int = 1) -> np.ndarray:
    return Arrivals(parts, duration_s).times((seed,))


rates = st.floats(0, 300)
even_parts = st.one_of(
    st.builds(lambda rate: ArrivalPart("constant", {"rate": rate}), rates),
    st.builds(lambda one, two: ArrivalPart("ramp", {"from": one, "to": two}), rates, rates),
    st.builds(
        lambda each: ArrivalPart("steps", {}, columns=columns(rates=each)),
        st.lists(rates, min_size=1, max_size=5),
    ),
    st.builds(
        lambda at, length, rate: ArrivalPart("spike", {"at": at, "for": length, "rate": rate}),
        st.floats(0, 15),
        st.floats(0.01, 5),
        rates,
    ),
    st.builds(
        lambda one, two, period: ArrivalPart("sine", {"from": one, "to": two, "period": period}),
        rates,
        rates,
        st.floats(0.5, 60),
    ),
    st.builds(
        lambda peak, hours: ArrivalPart("launch_curve", {"peak": peak, "hours": hours}),
        rates,
        st.floats(1, 120),
    ),
    st.builds(
        lambda steps, each: rows(np.cumsum([0, *steps])[: len(each)].tolist(), each),
        st.lists(st.floats(0.01, 20), min_size=5, max_size=5),
        st.lists(rates, min_size=2, max_size=6),
    ),
)


@given(st.lists(even_parts, min_size=1, max_size=4))
def test_even_arrivals_miss_the_curve_by_one_at_most_in_every_tenth_of_a_second(
    parts: list[ArrivalPart],
) -> None:
    arrivals = Arrivals(tuple(parts), PHASE_S)
    found = arrivals.times((1,))
    assert np.all(np.diff(found) >= 0)
    edges = np.linspace(0, PHASE_S, 201)
    arrived = np.diff(np.searchsorted(found, edges))
    wanted = [arrivals.expected(one, two) for one, two in pairwise(edges.tolist())]
    assert np.all(np.abs(arrived - np.array(wanted)) <= 1 + 1e-3)


@given(st.lists(even_parts, min_size=1, max_size=3))
def test_a_sum_expects_what_its_parts_expect_together(parts: list[ArrivalPart]) -> None:
    whole = Arrivals(tuple(parts), PHASE_S)
    alone = [Arrivals((part,), PHASE_S) for part in parts]
    assert whole.expected(3.3, 17.1) == pytest.approx(
        sum(each.expected(3.3, 17.1) for each in alone), abs=1e-9
    )
    at_s = np.linspace(0, PHASE_S, 57)
    np.testing.assert_allclose(whole.rate(at_s), sum(each.rate(at_s) for each in alone))


@given(even_parts)
def test_the_moments_are_the_inverse_of_the_expected_count(part: ArrivalPart) -> None:
    curve = curve_of(part, PHASE_S)
    found = times(part)
    wanted = np.arange(len(found)) + 0.5
    # A moment is exact to a fraction of a nanosecond, and the count to what arrives within it.
    room = 1e-9 * (1 + curve.rate(found)) + 1e-9 * wanted
    assert np.all(np.abs(curve.reached(found) - wanted) <= room + 2e-9)


@pytest.mark.parametrize("rate", [3, 7, 1999])
def test_an_even_rate_is_exact_to_the_nanosecond(rate: int) -> None:
    found = times(ArrivalPart("constant", {"rate": rate}), duration_s=5000)
    for place in (0, 1, len(found) // 3, len(found) - 1):
        with localcontext(prec=50):
            exact = (Decimal(place) + Decimal("0.5")) / rate
        assert abs(Decimal(float(found[place])) - exact) < HALF_A_TICK_S


def test_a_ramp_is_exact_to_the_nanosecond() -> None:
    found = times(ArrivalPart("ramp", {"from": 700, "to": 100}), duration_s=3000)
    assert len(found) == 1_200_000
    for place in (0, 1, 400_000, 1_199_998):
        with localcontext(prec=50):
            # 700 t - t^2 / 10 = k - 1/2
            count = Decimal(place) + Decimal("0.5")
            exact = Decimal(3500) - (Decimal(3500) ** 2 - 10 * count).sqrt()
        assert abs(Decimal(float(found[place])) - exact) < HALF_A_TICK_S


@pytest.mark.parametrize(("period", "duration_s"), [(8.0, 20.0), (97.0, 86_400.0)])
def test_a_swing_reaches_its_counts_where_the_formula_says(
    period: float, duration_s: float
) -> None:
    swing = ArrivalPart("sine", {"from": 1, "to": 19, "period": period})
    found = times(swing, duration_s=duration_s)
    pace = 2 * math.pi / period
    for place in np.linspace(0, len(found) - 1, 60).astype(int).tolist():
        low, high = 0.0, duration_s
        for _ in range(100):
            middle = (low + high) / 2
            reached = 10 * middle - 9 / pace * math.sin(pace * middle)
            low, high = (middle, high) if reached < place + 0.5 else (low, middle)
        assert abs(found[place] - low) < HALF_A_TICK_S


def test_a_swing_begins_at_one_rate_and_reaches_the_other_in_half_a_period() -> None:
    swing = Arrivals((ArrivalPart("sine", {"from": 10, "to": 90, "period": 8}),), PHASE_S)
    np.testing.assert_allclose(swing.rate(np.array([0.0, 2, 4, 8])), [10, 50, 90, 10], atol=1e-9)


def test_steps_last_as_long_as_asked_for_and_the_last_to_the_end() -> None:
    steps = columns(rates=[10, 40, 20])
    equal = times(ArrivalPart("steps", {}, columns=steps), duration_s=6)
    assert np.bincount(equal.astype(int)).tolist() == [10, 10, 40, 40, 20, 20]
    short = times(ArrivalPart("steps", {"every": 1}, columns=steps), duration_s=6)
    assert np.bincount(short.astype(int)).tolist() == [10, 40, 20, 20, 20, 20]


@pytest.mark.parametrize(
    ("interpolation", "last_s", "counts"),
    # From 30/s down to 0/s in two seconds: 22.5 and 7.5.
    [("linear", 4, [15, 25, 22, 8, 0]), ("steps", 3, [10, 20, 30, 0, 0])],
)
def test_rows_are_joined_as_asked_for_and_nothing_comes_after_them(
    interpolation: str, last_s: float, counts: list[int]
) -> None:
    given_rows = columns(times=[0, 1, 2, last_s], rates=[10, 20, 30, 0])
    part = ArrivalPart("csv", {}, {"interpolation": interpolation}, given_rows)
    found = times(part, duration_s=5)
    assert np.abs(np.bincount(found.astype(int), minlength=5) - counts).max() <= 1
    assert len(found) == sum(counts)


def test_rows_can_be_squeezed_into_a_phase_at_the_rates_that_they_have() -> None:
    day = ArrivalPart("csv", {"over": 10}, columns=columns(times=[0, 86_400], rates=[0, 100]))
    assert len(times(day, duration_s=10)) == 500


def test_rows_beyond_the_phase_are_cut_off_where_it_ends() -> None:
    assert len(times(rows([0, 100], [0, 100]), duration_s=10)) == 50


def test_a_recording_is_replayed_at_its_own_moments() -> None:
    part = ArrivalPart("recorded", {}, columns=columns(times=[0, 0.25, 0.25, 7, 30]))
    assert times(part).tolist() == [0, 0.25, 0.25, 7]
    fast = ArrivalPart("recorded", {"speed": 2}, columns=columns(times=[0, 0.25, 30]))
    assert times(fast).tolist() == [0, 0.125, 15]


def test_a_recorded_moment_belongs_to_what_begins_with_it() -> None:
    recording = Arrivals(
        (ArrivalPart("recorded", {}, columns=columns(times=[0, 1, 1, 7])),), PHASE_S
    )
    counted = [recording.expected(one, one + 1) for one in (0, 1, 2, 7)]
    assert counted == [1, 2, 0, 1]
    assert recording.rate(np.array([0.5, 1, 7.9])).tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("scale", "found"),
    [(2, [0, 0, 1, 1, 2, 2, 3, 3]), (0.5, [1, 3]), (1.5, [0, 1, 1, 2, 3, 3])],
)
def test_a_scaled_recording_repeats_or_leaves_out_moments_evenly(
    scale: float, found: list[float]
) -> None:
    part = ArrivalPart("recorded", {}, columns=columns(times=[0, 1, 2, 3]), scale=scale)
    assert times(part).tolist() == found


def test_a_recording_keeps_its_moments_beside_other_arrivals() -> None:
    recording = ArrivalPart("recorded", {}, columns=columns(times=[0.1, 0.2]))
    both = times(recording, ArrivalPart("constant", {"rate": 10}), duration_s=1)
    assert {0.1, 0.2} < set(both.tolist())
    assert len(both) == 12


@given(even_parts, st.floats(0.1, 5))
def test_scaling_multiplies_rate_and_expected_count(part: ArrivalPart, scale: float) -> None:
    scaled = ArrivalPart(part.kind, part.parameters, part.text, part.columns, scale=scale)
    plain = Arrivals((part,), PHASE_S).expected(2, 18)
    assert Arrivals((scaled,), PHASE_S).expected(2, 18) == pytest.approx(plain * scale, abs=1e-9)


RANDOM_PARTS = {
    "sine": ArrivalPart("sine", {"from": 5, "to": 60, "period": 20}, is_random=True),
    "launch": ArrivalPart("launch_curve", {"peak": 60}, is_random=True),
    "rows": rows([0, 5, 6, 20], [0, 80, 10, 50], is_random=True),
    "poisson": ArrivalPart("poisson", {"rate": 30}),
}


@pytest.mark.parametrize("part", RANDOM_PARTS.values(), ids=list(RANDOM_PARTS))
def test_random_arrivals_are_a_poisson_process_with_the_curve_as_its_mean(
    part: ArrivalPart,
) -> None:
    seeds = range(200)
    arrivals = Arrivals((part,), PHASE_S)
    edges = np.linspace(0, PHASE_S, 21)
    mean = np.array([arrivals.expected(one, two) for one, two in pairwise(edges.tolist())])
    counts = np.array([np.histogram(arrivals.times((seed,)), edges)[0] for seed in seeds])
    seen = mean > 1
    # Sums over all seeds have the curve's mean and, as Poisson numbers, that variance too.
    sums, expected = counts.sum(axis=0)[seen], mean[seen] * len(seeds)
    statistic = float(np.sum((sums - expected) ** 2 / expected))
    assert 0.001 < chi2.sf(statistic, seen.sum()) < 0.999
    # Fisher's index of dispersion, over all bins: variance over mean is 1.
    spread = float(np.sum((counts[:, seen] - mean[seen]) ** 2 / mean[seen]))
    assert 0.001 < chi2.sf(spread, counts[:, seen].size) < 0.999


def test_many_random_arrivals_are_drawn_as_evenly_as_few() -> None:
    # More than are drawn at a time: 50 seconds of 50,000 each, with a standard deviation of 224.
    found = times(ArrivalPart("poisson", {"rate": 50_000}), duration_s=50)
    counts = np.bincount(found.astype(int), minlength=50)
    assert np.abs(counts - 50_000).max() < 5 * 224
    assert np.all(np.diff(found) >= 0)


def test_a_random_recording_resamples_its_moments() -> None:
    moments = np.arange(0, 20, 0.01).tolist()
    part = ArrivalPart("recorded", {}, columns=columns(times=moments), is_random=True)
    found = times(part)
    assert set(found.tolist()) <= set(moments)
    # 2,000 expected, with a standard deviation of 45.
    assert abs(len(found) - 2000) < 5 * 45


def test_a_longer_phase_begins_with_the_same_random_arrivals() -> None:
    part = ArrivalPart("poisson", {"rate": 30})
    short, long = times(part, duration_s=10), times(part, duration_s=20)
    np.testing.assert_array_equal(long[: len(short)], short)


@pytest.mark.parametrize("part", RANDOM_PARTS.values(), ids=list(RANDOM_PARTS))
def test_a_moment_does_not_depend_on_which_others_are_computed_beside_it(
    part: ArrivalPart,
) -> None:
    curve = curve_of(part, PHASE_S)
    whole = float(curve.reached(np.array([PHASE_S]))[0])
    counts = np.linspace(0.01, whole - 0.01, 100_003)
    together = curve.moments(counts)
    pieces = np.concatenate([curve.moments(piece) for piece in np.split(counts, [7, 5000, 60_001])])
    np.testing.assert_array_equal(together, pieces)


def test_closed_forms_agree_with_the_search_for_any_curve() -> None:
    curve = curve_of(rows([0, 3, 4, 9, 20], [0, 50, 50, 0, 70]), PHASE_S)
    counts = np.arange(300, dtype=np.float64) + 0.5
    np.testing.assert_allclose(
        curve.moments(counts), invert(curve, PHASE_S, counts), atol=HALF_A_TICK_S, rtol=0
    )


@given(st.integers(1, 7), st.integers(0, 2**32))
def test_shards_are_disjoint_and_together_the_whole_schedule(count: int, seed: int) -> None:
    schedule = build_schedule(_load(ArrivalPart("poisson", {"rate": 20})), seed)
    shards = [schedule.slots(index, count) for index in range(count)]
    np.testing.assert_array_equal(np.sort(np.concatenate(shards)), np.arange(len(schedule)))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    assert all(shard.dtype == np.int64 and np.all(np.diff(shard) > 0) for shard in shards)


def test_more_shards_than_arrivals_leave_some_without_any(make_load: MakeLoad) -> None:
    schedule = build_schedule(make_load(("one", 1, [ArrivalPart("constant", {"rate": 2})])), 1)
    assert [len(schedule.slots(index, 4)) for index in range(4)] == [1, 1, 0, 0]


@pytest.mark.parametrize(("index", "count"), [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_that_does_not_exist_is_refused(
    make_load: MakeLoad, index: int, count: int
) -> None:
    schedule = build_schedule(make_load(("one", 1, [ArrivalPart("constant", {"rate": 2})])), 1)
    with pytest.raises(UsageError, match=f"shard {index} of {count}; accepted: 0 to"):
        schedule.slots(index, count)


@given(st.lists(even_parts, min_size=1, max_size=3), st.booleans())
def test_the_counts_of_the_seconds_are_those_of_the_moments(
    parts: list[ArrivalPart], with_chance: bool
) -> None:
    more = [ArrivalPart("poisson", {"rate": 9})] if with_chance else []
    load = _load(ArrivalPart("constant", {"rate": 1}), *parts, *more)
    schedule = build_schedule(load, 5)
    per_second = schedule.per_second()
    edges = np.searchsorted(schedule.times_s, np.arange(21))
    assert per_second.tolist() == np.diff(edges).tolist()
    assert per_second.sum() == len(schedule)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (ArrivalPart("steps", {}), "steps has no rates"),
        (ArrivalPart("steps", {}, columns=columns(rates=[])), "steps is empty"),
        (ArrivalPart("steps", {"every": 15}, columns=columns(rates=[1, 2])), "steps ends 30s into"),
        (rows([0, 1], [1, -1]), "csv has a rate that is negative or no number"),
        (rows([0, 1], [1, math.nan]), "csv has a rate that is negative or no number"),
        (rows([0, 0], [1, 1]), "csv has times that are not in order"),
        (rows([0], [1]), "csv has 1 rows; accepted: 2 or more"),
        (rows([0, 1], [1, 1], scale=0), "csv.scale is 0; accepted: a number above 0"),
        (ArrivalPart("constant", {"rate": 1}, scale=math.nan), "constant.scale is nan"),
        (ArrivalPart("sine", {"from": 1, "to": 2, "period": 0}), "sine.period is 0; accepted"),
        (ArrivalPart("recorded", {}, columns=columns(times=[3, 1])), "recorded has times that"),
    ],
)
def test_a_shape_that_cannot_be_says_why(part: ArrivalPart, message: str) -> None:
    assert message in "; ".join(validate_part(part, PHASE_S))


def test_more_arrivals_than_a_machine_can_hold_are_refused_before_any_is_made() -> None:
    part = ArrivalPart("constant", {"rate": 1e12})
    with pytest.raises(UsageError, match=r"2e\+13 arrivals .* accepted: 100,000,000 at most"):
        times(part)
    with pytest.raises(UsageError, match="the phases make"):
        build_schedule(_load(part), 1)


def _load(*parts: ArrivalPart) -> Load:
    return Load(Path("x.py"), "locust", "request", (Phase("one", 0, PHASE_S, parts),), {})
