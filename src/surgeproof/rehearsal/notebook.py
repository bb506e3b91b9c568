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

    def because(self, code: Reason, message: str) -> None:
        """Add a reason, once."""
        reason = VerdictReason(code, message)
        if reason not in self.reasons:
            self.reasons.append(reason)

    def has(self, code: Reason) -> bool:
        """Return whether a reason of this kind was noted."""
        return any(reason.code is code for reason in self.reasons)
