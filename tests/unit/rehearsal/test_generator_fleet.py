"""A fleet's pulses and happenings as the harness follows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from surgeproof.rehearsal.generator_fleet import FleetPulses


def say(samples: Path, worker: int, t_s: float, **fields: object) -> None:
    line = {"t_s": t_s, "scheduled": 10, "sent": 9, "dropped": 1, **fields}
    with (samples / f"pulse-{worker}.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def test_counts_are_summed_and_the_worst_workers_times_are_told(tmp_path: Path) -> None:
    pulses = FleetPulses(tmp_path)
    say(tmp_path, 0, 1.0, p99_s=0.2, cpu_ratio=0.1, loop_lag_p99_s=0.001)
    say(tmp_path, 1, 1.1, p99_s=0.1, cpu_ratio=0.7, loop_lag_p99_s=None)
    (line,) = pulses.read()
    assert (line.scheduled, line.sent, line.dropped) == (20, 18, 2)
    assert (line.t_s, line.p99_s, line.cpu_ratio, line.loop_lag_p99_s) == (1.1, 0.2, 0.7, 0.001)
    assert not line.is_end


def test_there_is_one_line_for_each_second(tmp_path: Path) -> None:
    pulses = FleetPulses(tmp_path)
    for second in (1.0, 2.0, 3.0):
        say(tmp_path, 0, second)
        say(tmp_path, 1, second + 0.3)
    assert [line.t_s for line in pulses.read()] == [1.3, 2.3, 3.3]


def test_a_worker_that_fell_silent_holds_up_nothing_and_its_counts_stay(tmp_path: Path) -> None:
    pulses = FleetPulses(tmp_path)
    say(tmp_path, 0, 1.0)
    say(tmp_path, 1, 1.0)
    pulses.read()
    for second in (2.0, 3.0, 4.0, 5.0):
        say(tmp_path, 0, second, scheduled=int(second * 10))
    last = pulses.read()[-1]
    assert last.t_s == pytest.approx(5.0)
    assert last.scheduled == 50 + 10


def test_the_last_line_says_what_was_due_and_counts_the_unknown_as_dropped(tmp_path: Path) -> None:
    pulses = FleetPulses(tmp_path)
    say(tmp_path, 0, 1.0, end=True)
    say(tmp_path, 1, 0.9)
    assert not any(line.is_end for line in pulses.read())
    pulses.note_end({"end_s": 1.0, "due": 25, "unknown": 5})
    (line,) = pulses.read()
    assert line.is_end
    assert (line.scheduled, line.sent, line.dropped) == (25, 18, 7)
    assert pulses.read() == []


def test_before_any_pulse_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert FleetPulses(tmp_path).read() == []
