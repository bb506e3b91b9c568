"""What a run gathers on its way: reasons, notes and the faults' fate, for the judgement."""

from __future__ import annotations

from dataclasses import dataclass, field

from surgeproof.model.result import FaultRecord, VerdictReason
from surgeproof.model.words import ExitCode, Reason

__all__ = ["Notebook"]


@dataclass(slots=True)
class Notebook:
    """Mutable on purpose: whatever ends a run early, what was noted by then is judged."""

    end_s: float = 0.0
    reasons: list[VerdictReason] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: tuple[FaultRecord, ...] = ()
    observations: dict[str, bool | None] = field(default_factory=dict)
    effects: dict[str, str] = field(default_factory=dict)
    signal_code: ExitCode = ExitCode.INTERRUPTED
    cpu_ratios: list[float] = field(default_factory=list)
    loop_lag_p99_s: float | None = None

    def because(self, code: Reason, message: str) -> None:
        """Add a reason, once."""
        reason = VerdictReason(code, message)
        if reason not in self.reasons:
            self.reasons.append(reason)

    def has(self, code: Reason) -> bool:
        """Return whether a reason of this kind was noted."""
        return any(reason.code is code for reason in self.reasons)

    @property
    def cpu_ratio(self) -> float | None:
        """The mean CPU ratio of the generator over the run, None if it never said."""
        return sum(self.cpu_ratios) / len(self.cpu_ratios) if self.cpu_ratios else None
