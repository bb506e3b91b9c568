from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.errors import UsageError
from surgeproof.load.schedule import build_schedule
from surgeproof.model.plan import ArrivalPart, Load, Window

MakeLoad = Callable[..., Load]

EVEN = [ArrivalPart("constant", {"rate": 40})]
DRAWN = [ArrivalPart("poisson", {"rate": 40})]
MIXES = {"default": {"GET /a": 3.0, "POST /b": 1.0}}


def test_a_schedule_is_sorted_and_says_phase_and_journey_of_each_arrival(
    make_load: MakeLoad,
) -> None:
    schedule = build_schedule(make_load(("one", 2, EVEN), ("two", 3, DRAWN), mixes=MIXES), 1)
    assert np.all(np.diff(schedule.times_s) >= 0)
    assert np.array_equal(schedule.phase_index, (schedule.times_s >= 2).astype(np.int16))
    assert schedule.journeys == ("GET /a", "POST /b")
    assert set(schedule.journey_index) == {0, 1}


def test_the_same_seed_makes_the_same_fingerprint(make_load: MakeLoad) -> None:
    load = make_load(("one", 5, DRAWN), mixes=MIXES)
    assert build_schedule(load, 9).sha256 == build_schedule(load, 9).sha256


def test_another_seed_makes_another_poisson_schedule(make_load: MakeLoad) -> None:
    load = make_load(("one", 5, DRAWN))
    assert build_schedule(load, 1).sha256 != build_schedule(load, 2).sha256


def test_another_seed_leaves_even_arrivals_where_they_are(make_load: MakeLoad) -> None:
    load = make_load(("one", 5, EVEN))
    assert build_schedule(load, 1).sha256 == build_schedule(load, 2).sha256


def test_the_fingerprint_covers_which_journey_an_arrival_is(make_load: MakeLoad) -> None:
    one = make_load(("one", 5, EVEN), mixes={"default": {"GET /a": 1}})
    other = make_load(("one", 5, EVEN), mixes={"default": {"GET /b": 1}})
    assert build_schedule(one, 1).sha256 != build_schedule(other, 1).sha256


def test_a_phase_added_at_the_end_moves_nothing_before_it(make_load: MakeLoad) -> None:
    short = build_schedule(make_load(("one", 5, DRAWN), mixes=MIXES), 1)
    longer = build_schedule(make_load(("one", 5, DRAWN), ("two", 5, DRAWN), mixes=MIXES), 1)
    assert np.array_equal(longer.times_s[: len(short)], short.times_s)
    assert np.array_equal(longer.journey_index[: len(short)], short.journey_index)


@given(st.integers(0, 2**32), st.lists(st.floats(0.5, 9.5), min_size=1, max_size=4))
def test_windows_that_cover_the_run_hold_every_arrival_once(seed: int, cuts: list[float]) -> None:
    parts = (ArrivalPart("poisson", {"rate": 30}),)
    load = _load_of(parts)
    schedule = build_schedule(load, seed)
    edges = [0.0, *sorted(cuts), 10.0]
    windows = [Window("w", start, end) for start, end in itertools.pairwise(edges)]
    assert sum(schedule.expected(None, window) for window in windows) == len(schedule)
    names = sum(schedule.expected(name) for name in schedule.journeys)
    assert names == len(schedule)


def test_counts_per_request_follow_the_weights(make_load: MakeLoad) -> None:
    load = make_load(("one", 100, [ArrivalPart("constant", {"rate": 100})]), mixes=MIXES)
    share = build_schedule(load, 3).expected("GET /a") / 10_000
    # Of 10,000 draws with p = 0.75 the share has a standard error of 0.0043.
    assert abs(share - 0.75) < 5 * 0.0044


def test_a_request_that_no_mix_names_is_never_expected(make_load: MakeLoad) -> None:
    schedule = build_schedule(make_load(("one", 5, EVEN), mixes=MIXES), 1)
    assert schedule.expected("GET /nowhere") == 0


def test_without_mixes_the_count_of_a_request_is_the_most_there_can_be(
    make_load: MakeLoad,
) -> None:
    schedule = build_schedule(make_load(("one", 5, EVEN)), 1)
    assert schedule.journeys == ()
    assert not schedule.is_named
    assert schedule.expected("GET /a", Window("w", 0, 1)) == 40


def test_sessions_leave_the_count_of_requests_open(make_load: MakeLoad) -> None:
    schedule = build_schedule(make_load(("one", 5, EVEN), mixes=MIXES, unit="session"), 1)
    assert not schedule.is_named


def test_the_scenarios_own_weights_fill_in_where_there_is_no_mix(make_load: MakeLoad) -> None:
    bare = build_schedule(make_load(("one", 50, EVEN)), 1)
    full = bare.with_weights({"b": 1.0, "a": 1.0}, 1)
    assert full.journeys == ("a", "b")
    assert np.array_equal(full.times_s, bare.times_s)
    assert abs(np.mean(full.journey_index) - 0.5) < 0.1


def test_mixes_win_over_the_scenarios_own_weights(make_load: MakeLoad) -> None:
    schedule = build_schedule(make_load(("one", 5, EVEN), mixes=MIXES), 1)
    assert schedule.with_weights({"c": 1.0}, 1) is schedule


def test_a_journey_of_weight_zero_never_comes(make_load: MakeLoad) -> None:
    mixes = {"default": {"GET /a": 0.0, "GET /b": 1.0, "GET /c": 0.0}}
    schedule = build_schedule(make_load(("one", 50, EVEN), mixes=mixes), 1)
    assert (schedule.expected("GET /a"), schedule.expected("GET /c")) == (0, 0)


def test_per_second_counts_add_up_and_include_the_last_second(make_load: MakeLoad) -> None:
    schedule = build_schedule(make_load(("one", 2.5, EVEN)), 1)
    assert schedule.per_second().tolist() == [40, 40, 20]


def test_a_mix_that_does_not_exist_is_named(make_load: MakeLoad) -> None:
    load = make_load(("one", 5, EVEN), mixes={"steady": {"a": 1.0}})
    with pytest.raises(UsageError, match="phase 'one' has mix 'default'; accepted: steady"):
        build_schedule(load, 1)


def test_an_empty_schedule_is_refused(make_load: MakeLoad) -> None:
    load = make_load(("one", 5, [ArrivalPart("constant", {"rate": 0})]))
    with pytest.raises(UsageError, match="the schedule is empty"):
        build_schedule(load, 1)


def test_weights_that_are_all_zero_are_refused(make_load: MakeLoad) -> None:
    load = make_load(("one", 5, EVEN), mixes={"default": {"a": 0.0}})
    with pytest.raises(UsageError, match="mix 'default' needs weights"):
        build_schedule(load, 1)


def _load_of(parts: tuple[ArrivalPart, ...]) -> Load:
    from pathlib import Path

    from surgeproof.model.plan import Phase

    return Load(Path("x.py"), "locust", "request", (Phase("one", 0, 10, parts),), MIXES)
