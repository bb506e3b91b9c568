"""A fault is only let loose on a target that is healthy."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from surgeproof.journal.samples import SAMPLE_SCHEMA, BatchWriter, read_drops, read_samples
from surgeproof.model.plan import Fault
from surgeproof.plan import load_plan
from surgeproof.rehearsal.steady import (
    can_be_proved,
    steady_state_problem,
    when_to_break,
    when_to_prove,
)

PLAN = Path("scenarios/launch_day.yaml")


def _problem(folder: Path, errors: int, total: int) -> str | None:
    with BatchWriter(folder / "samples-0.arrow", SAMPLE_SCHEMA) as writer:
        for number in range(total):
            row: dict[str, object] = dict.fromkeys(SAMPLE_SCHEMA.names)
            outcome = "error" if number < errors else "full"
            writer.add(row | {"intended_s": float(number), "name": "GET /", "outcome": outcome})
    return steady_state_problem(read_samples(folder), read_drops(folder))


@pytest.mark.parametrize(
    ("errors", "total", "is_steady"),
    [(0, 100, True), (5, 100, True), (6, 100, False), (100, 100, False), (10, 19, True)],
    ids=["none", "exactly at the bound", "just over it", "all", "too few requests to say"],
)
def test_more_than_one_error_in_twenty_is_no_steady_state(tmp_path, errors, total, is_steady):
    assert (_problem(tmp_path, errors, total) is None) == is_steady


def test_the_problem_says_how_many_failed(tmp_path):
    assert "7 of 100 requests failed" in str(_problem(tmp_path, 7, 100))


def _fault(start_s: float) -> Fault:
    return Fault("f", "e", "down", start_s, 5.0, {})


def test_it_is_proved_at_the_end_of_the_first_phase():
    plan = dataclasses.replace(load_plan(PLAN), faults=(_fault(40.0), _fault(30.0)))
    assert when_to_prove(plan) == 10.0


def test_or_right_before_a_fault_that_comes_earlier():
    plan = dataclasses.replace(load_plan(PLAN), faults=(_fault(4.0),))
    assert when_to_prove(plan) == pytest.approx(3.7)


def test_a_run_without_faults_needs_no_proof():
    assert when_to_prove(dataclasses.replace(load_plan(PLAN), faults=())) is None


def test_a_journal_that_lags_can_be_looked_at_again_until_right_before_the_first_fault(tmp_path):
    _problem(tmp_path, 0, 19)
    assert not can_be_proved(read_samples(tmp_path), read_drops(tmp_path))
    _problem(tmp_path, 0, 20)
    assert can_be_proved(read_samples(tmp_path), read_drops(tmp_path))
    plan = dataclasses.replace(load_plan(PLAN), faults=(_fault(40.0), _fault(30.0)))
    assert when_to_break(plan) == pytest.approx(29.7)
