"""The run's pulse put into one picture for the live view and the live metrics."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from surgeproof.model.plan import Gate, Plan
from surgeproof.rehearsal.generator import Pulse
from surgeproof.report.live import LiveState

__all__ = ["Progress", "limit_on_p99"]

# Rates and ratios are shown over this many seconds, as the pulse's own p99 is.
_SHOWN_S = 5


class Progress:
    """Turns cumulative pulses into what is going on now."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ends_at_s = {fault.name: fault.end_s for fault in plan.faults}
        self._pulses: deque[Pulse] = deque(maxlen=_SHOWN_S + 1)

    def add(self, pulses: Sequence[Pulse]) -> None:
        self._pulses.extend(pulse for pulse in pulses if not pulse.is_end)

    def state(self, now_s: float, active_faults: Sequence[str]) -> LiveState:
        """Return the picture at ``now_s`` (seconds since t0) with these faults in force."""
        first, last = (self._pulses[0], self._pulses[-1]) if self._pulses else (None, None)
        span_s = last.t_s - first.t_s if first is not None and last is not None else 0.0
        offered = completed = errors = None
        if first is not None and last is not None and span_s > 0:
            offered = (last.scheduled - first.scheduled) / span_s
            completed = (last.completed - first.completed) / span_s
            tried = last.requests - first.requests
            errors = (last.errors - first.errors) / tried if tried else None
        phase = self._phase(now_s)
        return LiveState(
            t_s=now_s,
            duration_s=self._plan.duration_s,
            phase=phase,
            offered_per_s=offered,
            completed_per_s=completed,
            p99_s=None if last is None else last.p99_s,
            p99_limit_s=limit_on_p99(self._plan.gates, phase, active_faults),
            error_ratio=errors,
            active_faults=tuple((name, self._ends_at_s[name] - now_s) for name in active_faults),
        )

    def _phase(self, now_s: float) -> str:
        for phase in self._plan.load.phases:
            if phase.start_s <= now_s < phase.start_s + phase.duration_s:
                return phase.name
        return "before the load" if now_s < 0 else "after the load"


def limit_on_p99(gates: Sequence[Gate], phase: str, active_faults: Sequence[str]) -> float | None:
    """Return the smallest limit on a p99 of response times that is in force now, if any."""
    in_force = {None, phase, *(f"fault:{name}" for name in active_faults)}
    limits = [
        gate.value
        for gate in gates
        if gate.selector.metric == "http.response_time"
        and gate.stat == "p99"
        and gate.during in in_force
    ]
    return min(limits, default=None)
