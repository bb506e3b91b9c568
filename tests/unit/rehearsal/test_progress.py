"""What the live view shows is worked out from cumulative pulses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from surgeproof.plan import load_plan
from surgeproof.rehearsal.generator import Pulse, PulseTail
from surgeproof.rehearsal.progress import Progress, limit_on_p99

PLAN = Path("scenarios/launch_day.yaml")


def _pulse(t_s: float, scheduled: int, completed: int, errors: int) -> Pulse:
    return Pulse(
        t_s=t_s,
        scheduled=scheduled,
        sent=scheduled,
        completed=completed,
        dropped=0,
        requests=completed,
        errors=errors,
        in_flight=scheduled - completed,
        p99_s=0.2,
        cpu_ratio=0.1,
        loop_lag_p99_s=0.001,
        is_end=False,
    )


def test_rates_are_those_of_the_last_five_seconds():
    progress = Progress(load_plan(PLAN))
    # The first two seconds are quiet; seven later 100 a second arrive, 90 are answered, 9 fail.
    progress.add([_pulse(1, 0, 0, 0), _pulse(2, 0, 0, 0)])
    progress.add([_pulse(2 + n, 100 * n, 90 * n, 9 * n) for n in range(1, 8)])
    state = progress.state(9.0, [])
    assert (state.offered_per_s, state.completed_per_s) == (pytest.approx(100), pytest.approx(90))
    assert state.error_ratio == pytest.approx(0.1)
    assert (state.phase, state.p99_s) == ("warmup", 0.2)


def test_one_pulse_is_no_rate():
    progress = Progress(load_plan(PLAN))
    progress.add([_pulse(1, 30, 30, 0)])
    assert progress.state(1.5, []).offered_per_s is None


def test_active_faults_show_what_is_left_of_them():
    plan = load_plan(PLAN)
    fault = plan.faults[0]
    state = Progress(plan).state(fault.end_s - 4.0, [fault.name])
    assert state.active_faults == ((fault.name, pytest.approx(4.0)),)


@pytest.mark.parametrize(
    ("now_s", "phase"), [(-1.0, "before the load"), (500.0, "after the load"), (11.0, "surge")]
)
def test_the_phase_is_named_also_outside_of_the_load(now_s, phase):
    assert Progress(load_plan(PLAN)).state(now_s, []).phase == phase


def test_only_a_gate_that_is_in_force_lends_its_limit():
    gates = load_plan(PLAN).gates
    assert limit_on_p99(gates, "surge", []) is None
    assert limit_on_p99(gates, "surge", ["redis-down"]) == pytest.approx(0.4)


def test_a_pulse_file_is_read_line_by_line_as_it_grows(tmp_path):
    path = tmp_path / "pulse-0.jsonl"
    tail = PulseTail(path)
    assert tail.read() == []
    line = json.dumps({"t_s": 1.0, "scheduled": 30, "p99_s": None})
    path.write_text(line + "\n" + line[:7])
    (pulse,) = tail.read()
    assert (pulse.scheduled, pulse.p99_s, pulse.is_end) == (30, None, False)
    path.write_text(line + "\n" + line.replace("1.0", "2.0").replace("}", ', "end": true}') + "\n")
    (pulse,) = tail.read()
    assert (pulse.t_s, pulse.is_end) == (2.0, True)
