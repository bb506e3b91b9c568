from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.errors import UsageError
from surgeproof.load.k6.options import Stage, k6_options, k6_stages, k6_times
from surgeproof.load.schedule import build_schedule
from surgeproof.model.plan import ArrivalPart, Load, Phase

counts = st.lists(st.integers(0, 400), min_size=1, max_size=30).filter(any)
PARTS = st.one_of(
    st.builds(lambda rate: ArrivalPart("constant", {"rate": rate}), st.floats(0.5, 80)),
    st.builds(lambda rate: ArrivalPart("poisson", {"rate": rate}), st.floats(0.5, 80)),
    st.builds(
        lambda low, high: ArrivalPart("ramp", {"from": low, "to": high}),
        st.floats(0, 80),
        st.floats(1, 80),
    ),
)


def starts_of_k6(options: dict[str, Any]) -> list[float]:
    """Walk through the stages as k6's executor does, and return when it starts iterations."""
    scenario = options["scenarios"]["surge"]
    unit_s = float(scenario["timeUnit"].removesuffix("s"))
    rate = scenario["startRate"] / unit_s
    started, done, at_s = 0, 0.0, 0.0
    starts = []
    for stage in scenario["stages"]:
        target = stage["target"] / unit_s
        length_s = int(stage["duration"].removesuffix("ns")) / 1e9
        # Where k6 would draw a slope, ours is a jump.
        assert target == rate or length_s == 0
        end = done + length_s * target
        while started + 1 <= end:
            started += 1
            starts.append(at_s + (started - done) / target)
        done, rate, at_s = end, target, at_s + length_s
    return starts


@given(counts, st.floats(0.001, 1.0))
def test_k6_starts_the_count_of_every_second_where_the_times_say(
    per_second: list[int], last_s: float
) -> None:
    duration_s = len(per_second) - 1 + last_s
    stages = k6_stages(per_second, duration_s)
    times = k6_times(stages)
    starts = starts_of_k6(k6_options(stages, graceful_stop_s=10, max_in_flight=4000))
    np.testing.assert_allclose(starts, times, atol=1e-6)
    assert np.all(np.diff(times) > 0)
    assert np.bincount(times.astype(int), minlength=len(per_second)).tolist() == per_second
    assert times[-1] < duration_s


@given(st.lists(st.tuples(st.floats(0.3, 4), PARTS), min_size=1, max_size=4), st.integers(0, 99))
def test_k6_gets_the_count_of_our_schedule_in_every_second_of_any_plan(
    phases: list[tuple[float, ArrivalPart]], seed: int
) -> None:
    made: list[Phase] = []
    for length_s, part in phases:
        start_s = made[-1].window.end_s if made else 0.0
        made.append(Phase(f"p{len(made)}", start_s, length_s, (part,)))
    load = Load(Path("x.js"), "k6", "request", tuple(made), {})
    try:
        schedule = build_schedule(load, seed)
    except UsageError as error:
        assert "empty" in str(error)  # noqa: PT017 - the only plan of these that has no schedule
        return
    stages = k6_stages(schedule.per_second(), schedule.duration_s)
    starts = np.array(starts_of_k6(k6_options(stages, graceful_stop_s=1, max_in_flight=99)))
    wanted = schedule.per_second()
    assert np.bincount(starts.astype(int), minlength=len(wanted)).tolist() == wanted.tolist()


def test_each_arrival_under_way_takes_a_script_engine_and_the_plan_bounds_them() -> None:
    stages = k6_stages([100, 100])

    def engines(max_in_flight: int) -> tuple[int, int]:
        options: Any = k6_options(stages, graceful_stop_s=1, max_in_flight=max_in_flight)
        surge = options["scenarios"]["surge"]
        return surge["preAllocatedVUs"], surge["maxVUs"]

    assert engines(4000) == (math.ceil(100.5 * 2), 2 * math.ceil(100.5 * 2))
    assert engines(250) == (201, 250)
    assert engines(7) == (7, 7)


def test_a_second_without_arrivals_has_none() -> None:
    stages = k6_stages([0, 3, 0, 1])
    assert stages == (Stage(1, 1.0), Stage(6, 1.0), Stage(0, 1.0), Stage(2, 1.0))
    assert k6_times(stages).tolist() == pytest.approx([1 + 1 / 6, 1.5, 1 + 5 / 6, 3.5])


def test_k6_stays_ready_for_what_is_late_at_the_end() -> None:
    options: Any = k6_options(k6_stages([3]), graceful_stop_s=1, max_in_flight=9)
    assert options["scenarios"]["surge"]["stages"][-1] == {"target": 0, "duration": "1000000000ns"}
