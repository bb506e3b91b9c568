"""A run at one moment, and the words in which its progress is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from surgeproof.report.wording import plain, rate_text, ratio_text, seconds_text, span_text

__all__ = ["LiveState", "edges", "faults_text", "gates_text", "line", "p99_text"]


@dataclass(frozen=True, slots=True)
class LiveState:
    """The run at one moment. Rates and ``p99_s`` are of the last seconds, None if not known.

    ``t_s`` is in seconds since t0, negative before it. ``p99_limit_s`` is a gate's limit, if any.
    ``active_faults`` are (name, seconds left). ``note`` is what goes on besides the load, in words.
    """

    t_s: float
    duration_s: float
    phase: str = ""
    offered_per_s: float | None = None
    completed_per_s: float | None = None
    p99_s: float | None = None
    p99_limit_s: float | None = None
    error_ratio: float | None = None
    active_faults: tuple[tuple[str, float], ...] = ()
    gates_breached: tuple[str, ...] = ()
    note: str = ""

    @property
    def left_s(self) -> float:
        return max(self.duration_s - max(self.t_s, 0.0), 0.0)

    @property
    def is_over_limit(self) -> bool:
        known = self.p99_s is not None and self.p99_limit_s is not None
        return known and (self.p99_s or 0.0) >= (self.p99_limit_s or 0.0)


def line(state: LiveState) -> str:
    """Return the whole state as one line."""
    parts = [f"{_at(state)} of {state.duration_s:.0f} s"]
    parts += [plain(state.phase)] if state.phase else []
    if state.offered_per_s is not None or state.completed_per_s is not None:
        parts += [
            f"offered {rate_text(state.offered_per_s)}",
            f"completed {rate_text(state.completed_per_s)}",
            f"p99 {p99_text(state)}",
            f"errors {ratio_text(state.error_ratio)}",
        ]
    if state.active_faults:
        parts.append(f"faults {faults_text(state)}")
    if state.gates_breached:
        parts.append(f"gates breached: {gates_text(state)}")
    if state.note:
        parts.append(plain(state.note))
    parts.append(f"{span_text(state.left_s)} left")
    return " | ".join(parts)


def edges(before: LiveState | None, now: LiveState) -> Iterator[str]:
    """Yield a line for everything that began or ended between two snapshots."""
    old = before or LiveState(now.t_s, now.duration_s)
    if now.phase and now.phase != old.phase:
        yield f"{_at(now)} | phase: {plain(now.phase)}"
    were, are = dict(old.active_faults), dict(now.active_faults)
    for name in sorted(were.keys() - are.keys()):
        yield f"{_at(now)} | fault {plain(name)} is removed"
    for name, left_s in now.active_faults:
        if name not in were:
            yield f"{_at(now)} | fault {plain(name)} is in force for {span_text(max(left_s, 0.0))}"
    for gate in now.gates_breached:
        if gate not in old.gates_breached:
            yield f"{_at(now)} | gate {plain(gate)} is breached"


def p99_text(state: LiveState) -> str:
    """Return the p99 of now with its limit, where a gate sets one."""
    text = seconds_text(state.p99_s)
    if state.p99_limit_s is None:
        return text
    return f"{text} (limit {seconds_text(state.p99_limit_s)})"


def faults_text(state: LiveState) -> str:
    """Return the faults that are active, each with the time it has left."""
    return ", ".join(
        f"{plain(name)} ({span_text(max(left_s, 0.0))} left)"
        for name, left_s in state.active_faults
    )


def gates_text(state: LiveState) -> str:
    """Return the gates that are broken now."""
    return ", ".join(plain(gate) for gate in state.gates_breached)


def _at(state: LiveState) -> str:
    return f"{state.t_s:6.1f} s"
