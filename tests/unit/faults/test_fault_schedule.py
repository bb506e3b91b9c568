"""The timetable under a clock that moves only by sleeping."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from surgeproof.errors import FaultRejectedError, RollbackFailedError
from surgeproof.faults.schedule import FaultRun, run_faults, timetable
from surgeproof.journal.events import read_events
from surgeproof.model.plan import Fault

if TYPE_CHECKING:
    from tests.unit.faults.conftest import FakeClock, LoggedEvents


def fault(name: str, start_s: float, duration_s: float) -> Fault:
    return Fault(name, "graph-pg", "timeout", start_s, duration_s, {})


class Target:
    """Notes what is asked of it and when; `broken` names raise."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.steps: list[tuple[float, str]] = []
        self.looks = 0
        self.broken: dict[str, Exception] = {}
        self.on_apply: Callable[[str], None] = lambda name: None

    def note(self, what: str) -> None:
        self.steps.append((round(self.clock.now_s - 1000.0, 6), what))
        if what in self.broken:
            raise self.broken[what]

    def apply(self, fault: Fault) -> None:
        self.note(f"apply {fault.name}")
        self.on_apply(fault.name)

    def undo(self, name: str) -> None:
        self.note(f"undo {name}")

    def undo_all(self) -> None:
        self.note("undo all")

    def look(self) -> None:
        self.looks += 1


def test_faults_end_before_others_begin_at_the_same_time() -> None:
    steps = timetable([fault("b", 15, 5), fault("a", 10, 5)])
    assert [(step.at_s, step.fault.name, step.applies) for step in steps] == [
        (10, "a", True),
        (15, "a", False),
        (15, "b", True),
        (20, "b", False),
    ]


def test_each_step_is_taken_at_its_time(clock: FakeClock, events: LoggedEvents) -> None:
    target = Target(clock)
    faults = [fault("a", 10, 5.5), fault("b", 12.25, 1)]
    FaultRun(faults, target, events, clock, threading.Event()).play()
    assert target.steps == [
        (10.0, "apply a"),
        (12.25, "apply b"),
        (13.25, "undo b"),
        (15.5, "undo a"),
        (15.5, "undo all"),
    ]
    assert target.looks > 5


def test_a_failed_fault_does_not_keep_the_others_from_their_time(
    clock: FakeClock, events: LoggedEvents
) -> None:
    target = Target(clock)
    target.broken = {
        "apply a": FaultRejectedError("no"),
        "undo b": RollbackFailedError("stuck"),
    }
    run = FaultRun(
        [fault("a", 1, 1), fault("b", 2, 1), fault("c", 4, 1)],
        target,
        events,
        clock,
        threading.Event(),
    )
    run.play()
    assert (4.0, "apply c") in target.steps
    assert [str(problem) for problem in run.problems] == ["no", "stuck"]
    assert run.rollback_failed


def test_a_stop_undoes_what_is_on_and_applies_nothing_more(
    clock: FakeClock, events: LoggedEvents
) -> None:
    target, stop = Target(clock), threading.Event()
    target.on_apply = lambda name: stop.set()
    run = FaultRun([fault("a", 1, 50), fault("b", 2, 1)], target, events, clock, stop)
    run.play()
    assert target.steps == [(1.0, "apply a"), (1.0, "undo all")]
    assert not run.rollback_failed


def test_a_rollback_that_fails_at_the_end_is_reported(
    clock: FakeClock, events: LoggedEvents
) -> None:
    target = Target(clock)
    target.broken = {"undo all": RollbackFailedError("stuck")}
    run = FaultRun([], target, events, clock, threading.Event())
    run.play()
    assert run.rollback_failed


def test_a_crash_of_the_thread_is_journalled_and_leaves_nothing_on(
    clock: FakeClock, events: LoggedEvents, tmp_path: Path
) -> None:
    target = Target(clock)
    target.broken = {"apply a": ZeroDivisionError("oops")}
    run = run_faults([fault("a", 1, 5)], target, events, clock, threading.Event())
    assert run.join(10)
    assert target.steps[-1][1] == "undo all"
    assert [event.fields["level"] for event in read_events(tmp_path / "events.jsonl")] == ["error"]
    assert "ZeroDivisionError" in str(run.problems[0])
