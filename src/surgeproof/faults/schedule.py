"""The timetable of faults: each applied and undone at its time, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from surgeproof.clock import Clock
from surgeproof.errors import RollbackFailedError, SurgeproofError
from surgeproof.journal.events import EventLog
from surgeproof.model.plan import Fault

__all__ = ["FaultRun", "FaultTarget", "Step", "run_faults", "timetable"]

# A stop is heeded within this time; short against any fault, long against the cost of a look.
_HEED_S = 0.05
# Whether a fault has an effect is looked at this often.
_LOOK_S = 1.0


class FaultTarget(Protocol):
    """What faults are applied to: `FaultInjector`."""

    def apply(self, fault: Fault) -> None: ...

    def undo(self, name: str) -> None: ...

    def undo_all(self) -> None: ...

    def look(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the timetable, ``at_s`` seconds since t0."""

    at_s: float
    fault: Fault
    applies: bool


def timetable(faults: Sequence[Fault]) -> tuple[Step, ...]:
    """Return the steps in order of time; at the same time faults end before others begin."""
    steps = [Step(fault.start_s, fault, applies=True) for fault in faults]
    steps += [Step(fault.end_s, fault, applies=False) for fault in faults]
    return tuple(sorted(steps, key=lambda step: (step.at_s, step.applies)))


class FaultRun:
    """The thread that goes through a timetable; at its end no fault is left applied."""

    def __init__(
        self,
        faults: Sequence[Fault],
        injector: FaultTarget,
        events: EventLog,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._steps = timetable(faults)
        self._injector = injector
        self._events = events
        self._clock = clock
        self._stop = stop
        self._problems: list[SurgeproofError] = []
        self._thread = threading.Thread(target=self._run, name="surgeproof-faults", daemon=True)

    @property
    def problems(self) -> tuple[SurgeproofError, ...]:
        """What went wrong so far; each is in the journal too."""
        return tuple(self._problems)

    @property
    def rollback_failed(self) -> bool:
        return any(isinstance(problem, RollbackFailedError) for problem in self._problems)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of the timetable and return whether it is reached."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def play(self) -> None:
        """Go through the timetable in the calling thread.

        A fault that fails is noted, and the others go on. When ``stop`` is set, or at the end,
        whatever is still applied is undone.
        """
        try:
            for step in self._steps:
                if not self._wait_until(step.at_s):
                    break
                self._take(step)
        finally:
            try:
                self._injector.undo_all()
            except SurgeproofError as error:
                self._problems.append(error)

    def _take(self, step: Step) -> None:
        try:
            if step.applies:
                self._injector.apply(step.fault)
            else:
                self._injector.undo(step.fault.name)
        except SurgeproofError as error:
            self._problems.append(error)

    def _wait_until(self, at_s: float) -> bool:
        looked_at_s = self._events.now()
        while not self._stop.is_set():
            now_s = self._events.now()
            if now_s >= at_s:
                return True
            if now_s - looked_at_s >= _LOOK_S:
                self._injector.look()
                looked_at_s = now_s
            self._clock.sleep(min(at_s - now_s, _HEED_S))
        return False

    def _run(self) -> None:
        try:
            self.play()
        except Exception as error:  # noqa: BLE001  # the thread's border: journalled, and reported
            message = f"the fault timetable broke off: {type(error).__name__}: {error}"
            self._problems.append(SurgeproofError(message))
            self._events.append("log", level="error", message=message)


def run_faults(
    faults: Sequence[Fault],
    injector: FaultTarget,
    events: EventLog,
    clock: Clock,
    stop: threading.Event,
) -> FaultRun:
    """Start the timetable in a thread and return it; ``events.t0`` is its zero."""
    run = FaultRun(faults, injector, events, clock, stop)
    run.start()
    return run
