"""What a rehearsal looks at while its load goes on, and what makes it end the run early."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from surgeproof.clock import Clock
from surgeproof.errors import AbortedError
from surgeproof.faults.guardian import GuardianLink
from surgeproof.journal.events import EventLog
from surgeproof.journal.folder import RunFolder
from surgeproof.journal.samples import read_drops, read_samples
from surgeproof.model.plan import Plan
from surgeproof.model.words import Reason
from surgeproof.rehearsal.guards import GuardWatch
from surgeproof.rehearsal.notebook import Notebook
from surgeproof.rehearsal.space import LEAST_LEFT_BYTES, require_space
from surgeproof.rehearsal.steady import (
    can_be_proved,
    steady_state_problem,
    when_to_break,
    when_to_prove,
)
from surgeproof.report.live import LiveView
from surgeproof.stack.running import RunningStack
from surgeproof.units import format_duration

__all__ = ["Surroundings", "Watch", "timed_out"]

_ROOM_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run is given from outside."""

    folder: RunFolder
    events: EventLog
    guardian: GuardianLink
    clock: Clock
    view: LiveView
    environ: Mapping[str, str]
    prometheus_url: str | None


class Watch:
    """What is looked at on each tick: phases, steady state, guards, time, the guardian."""

    def __init__(
        self,
        plan: Plan,
        around: Surroundings,
        notebook: Notebook,
        *,
        ends_at: float,
    ) -> None:
        self._plan = plan
        self._around = around
        self._notebook = notebook
        self._ends_at = ends_at
        self._guards = GuardWatch(
            plan.guards,
            around.folder.samples,
            endpoints=plan.endpoints,
            phases=plan.load.phases,
        )
        self._steady_at_s = when_to_prove(plan)
        self._room_at_s = 0.0
        self._phase: str | None = None
        self._dead: set[str] = set()

    def look(self, now_s: float, running: RunningStack) -> None:
        """Look once.

        Raises:
            AbortedError: a guard is broken, the time is over, there is no steady state, or the
                proxy server is gone.
            EnvironmentNotReadyError: the disk is filling up.
        """
        if now_s >= self._room_at_s:
            self._room_at_s = now_s + _ROOM_EVERY_S
            require_space(self._around.folder.path, LEAST_LEFT_BYTES)
        self._note_phase(now_s)
        self._prove_steady_state(now_s)
        self._check_processes(running)
        breach = self._guards.breached(now_s)
        if breach is not None:
            self._around.events.append("guard.aborted", gate=breach.id, message=breach.message)
            self._notebook.because(Reason.ABORTED, f"guard {breach.expression}: {breach.message}")
            raise AbortedError(f"guard {breach.expression}: {breach.message}")
        if self._around.clock.monotonic() > self._ends_at:
            message = timed_out(self._plan)
            self._notebook.because(Reason.TIMED_OUT, message)
            raise AbortedError(message)

    def _note_phase(self, now_s: float) -> None:
        phase = next(
            (
                phase.name
                for phase in self._plan.load.phases
                if phase.start_s <= now_s < phase.start_s + phase.duration_s
            ),
            None,
        )
        if phase == self._phase:
            return
        if self._phase is not None:
            self._around.events.append("phase.ended", phase=self._phase)
        if phase is not None:
            self._around.events.append("phase.started", phase=phase)
        self._phase = phase

    def _prove_steady_state(self, now_s: float) -> None:
        if self._steady_at_s is None or now_s < self._steady_at_s:
            return
        folder = self._around.folder.samples
        samples, drops = read_samples(folder), read_drops(folder)
        if not can_be_proved(samples, drops) and now_s < when_to_break(self._plan):
            return
        self._steady_at_s = None
        problem = steady_state_problem(samples, drops)
        if problem is not None:
            self._notebook.because(Reason.STEADY_STATE_NOT_REACHED, problem)
            raise AbortedError(problem)
        self._around.events.append("steady.proved")

    def _check_processes(self, running: RunningStack) -> None:
        for name, pid in running.dead():
            if name in self._dead:
                continue
            self._dead.add(name)
            self._around.events.append("log", message=f"process {name} (pid {pid}) has ended")
            if name == "toxiproxy":
                self._around.events.append("proxy.restarted", process=name)
                message = f"the Toxiproxy server (pid {pid}) has ended, and every edge with it"
                self._notebook.because(Reason.PROXY_RESTARTED, message)
                raise AbortedError(message)
            self._notebook.notes.append(f"process {name} of the target ended during the run")


def timed_out(plan: Plan) -> str:
    """Return why a run that passed the plan's timeout ends, in words."""
    return f"the run took longer than its timeout of {format_duration(plan.timeout_s)}"
