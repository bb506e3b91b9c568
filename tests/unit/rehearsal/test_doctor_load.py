"""What a ladder of schedules says of a machine, and how that is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from surgeproof.journal.samples import read_samples
from surgeproof.model.plan import ArrivalPart, Load, Phase, Plan
from surgeproof.model.samples import Labels, Samples
from surgeproof.rehearsal.doctor_load import (
    Capacity,
    LoadCapacity,
    Step,
    fits,
    judge_steps,
    print_capacity,
)


def phase(name: str, start_s: float, duration_s: float, rate: float = 100.0) -> Phase:
    return Phase(name, start_s, duration_s, (ArrivalPart("constant", {"rate": rate}),))


def samples(intended_s: Sequence[float], lag_s: Sequence[float]) -> Samples:
    """Rows of which only these two columns matter."""
    count = len(intended_s)
    empty = read_samples(Path("there/is/none"))
    columns: dict[str, Any] = {}
    for name in Samples.__dataclass_fields__:
        column = getattr(empty, name)
        words = Labels(np.zeros(count, dtype=np.int32), ("",))
        columns[name] = words if isinstance(column, Labels) else np.zeros(count, column.dtype)
    columns["intended_s"] = np.array(intended_s)
    columns["start_s"] = np.array(intended_s) + np.array(lag_s)
    return Samples(**columns)


def test_each_step_is_judged_by_the_arrivals_meant_for_it() -> None:
    phases = [phase("pause 0", 0, 1), phase("step 0", 1, 1, 7.0), phase("step 1", 2, 1, 9.0)]
    rows = samples([0.5, 1.0, 1.9, 2.0], [9.0, 0.001, 0.002, 0.5])
    steps = judge_steps(rows, np.array([0.1, 2.5, 2.6]), phases)
    assert [step.rate_per_s for step in steps] == [7.0, 9.0]
    assert [step.lag_p99_s for step in steps] == pytest.approx([0.002, 0.5])
    assert [step.dropped for step in steps] == [0, 2]


def test_a_step_of_which_nothing_was_sent_is_not_held() -> None:
    (step,) = judge_steps(samples([], []), np.array([1.0]), [phase("step 0", 0, 2)])
    assert not step.is_held


@pytest.mark.parametrize(
    ("step", "is_held"),
    [
        pytest.param(Step(10_000, 0.01, 0), True, id="just within 10 ms"),
        pytest.param(Step(10_000, 0.0101, 0), False, id="too late"),
        pytest.param(Step(10_000, 0.001, 6), True, id="0.1 % dropped"),
        pytest.param(Step(10_000, 0.001, 7), False, id="more dropped"),
    ],
)
def test_a_rate_is_held_where_nearly_all_go_out_at_their_moment(step: Step, is_held: bool) -> None:
    assert step.is_held is is_held


CAPACITY = Capacity(50_000.0, 40_000.0, False, (Step(40_000.0, 0.002, 0),))
FOUND = LoadCapacity(CAPACITY, replace(CAPACITY, held_per_s=1000.0), 2, True, 1024, 28_232)


def plan(rate: float, workers: int) -> Plan:
    phases = (phase("calm", 0, 3, 10.0), phase("surge", 3, 3, rate))
    load = Load(Path("users.py"), "locust", "request", phases, {}, workers=workers)
    return cast("Plan", SimpleNamespace(load=load, seed=1, file=Path("plan.yaml")))


@pytest.mark.parametrize(
    ("rate", "workers", "is_enough"),
    [
        pytest.param(1000.0, 1, True, id="exactly what one holds"),
        pytest.param(1100.0, 1, False, id="more than one holds"),
        pytest.param(2000.0, 2, True, id="two workers on two cores"),
        pytest.param(2100.0, 8, False, id="workers without cores add nothing"),
    ],
)
def test_a_plan_s_busiest_second_is_held_against_its_workers(
    rate: float, workers: int, is_enough: bool
) -> None:
    assert fits(plan(rate, workers), FOUND)[0] is is_enough


def test_what_was_found_is_printed_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    print_capacity(FOUND, "words of the plan", as_json=False)
    said = capsys.readouterr().out
    assert "declared requests: 50,000/s closed loop, on schedule 40,000/s" in said
    assert "open files: 1,024" in said
    assert "plan: words of the plan" in said


def test_a_server_that_was_full_makes_the_ceiling_a_lower_bound(
    capsys: pytest.CaptureFixture[str],
) -> None:
    full = replace(CAPACITY, is_server_full=True, held_per_s=None)
    print_capacity(replace(FOUND, requests=full), None, as_json=False)
    said = capsys.readouterr().out
    assert "at least 50,000/s closed loop, not even 40,000/s on schedule" in said


def test_json_has_every_number_and_no_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    never = replace(CAPACITY, steps=(Step(5.0, float("inf"), 3),))
    print_capacity(replace(FOUND, requests=never), None, as_json=True)
    data = json.loads(capsys.readouterr().out)
    assert data["requests"]["steps"] == [
        {"rate_per_s": 5.0, "lag_p99_s": None, "dropped": 3, "is_held": False}
    ]
    assert (data["cores"], data["ports_limit"]) == (2, 28_232)
