"""The verdict: one status, every reason, and one exit code by precedence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from surgeproof.model.result import (
    FaultRecord,
    GateResult,
    GeneratorHealth,
    LedgerCounts,
    Verdict,
    VerdictReason,
)
from surgeproof.model.words import ExitCode, Reason, Status

__all__ = ["PRECEDENCE", "decide", "exit_code_of", "most_severe"]

# Public API: the first of these that applies is the exit code.
PRECEDENCE: tuple[ExitCode, ...] = (
    ExitCode.ROLLBACK_FAILED,
    ExitCode.INTERNAL_ERROR,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.USAGE,
    ExitCode.ENVIRONMENT,
    ExitCode.UNRELIABLE,
    ExitCode.ABORTED,
    ExitCode.GATE_FAILED,
    ExitCode.WORSE,
    ExitCode.NO_VERDICT,
    ExitCode.PASS,
)

_CODES: Mapping[Reason, ExitCode] = MappingProxyType(
    {
        Reason.ROLLBACK_FAILED: ExitCode.ROLLBACK_FAILED,
        Reason.INTERNAL_ERROR: ExitCode.INTERNAL_ERROR,
        Reason.INTERRUPTED: ExitCode.INTERRUPTED,
        Reason.ENVIRONMENT_NOT_READY: ExitCode.ENVIRONMENT,
        Reason.GENERATOR_UNRELIABLE: ExitCode.UNRELIABLE,
        Reason.GENERATOR_LOST: ExitCode.UNRELIABLE,
        Reason.REPLAY_OUT_OF_TOLERANCE: ExitCode.UNRELIABLE,
        Reason.ABORTED: ExitCode.ABORTED,
        Reason.GATE_FAILED: ExitCode.GATE_FAILED,
    }
)
_NO_DATA = (Reason.GATE_NO_DATA, Reason.NO_SAMPLES)


def exit_code_of(reason: Reason) -> ExitCode:
    """Return the exit code that a reason asks for; 4 where the contract names no other."""
    return _CODES.get(reason, ExitCode.NO_VERDICT)


def most_severe(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the exit code that wins by precedence: 0 of none."""
    present = set(codes)
    return next((code for code in PRECEDENCE if code in present), ExitCode.PASS)


def decide(
    gates: Sequence[GateResult],
    *,
    faults: Sequence[FaultRecord] = (),
    health: GeneratorHealth | None = None,
    ledger: Mapping[str, LedgerCounts] | None = None,
    sample_count: int | None = None,
    happenings: Sequence[VerdictReason] = (),
    signal_code: ExitCode = ExitCode.INTERRUPTED,
    allow_inconclusive: bool = False,
) -> Verdict:
    """Return the verdict of a run, with the gravest reason first.

    ``gates`` are all results: the plan's, the implicit ones and the objectives'. ``happenings``
    are what only the rehearsal knows (aborted, interrupted, rollback failed …); with an
    interruption, ``signal_code`` says by which signal. ``health`` None means that no generator
    ran. A failed gate makes the status fail whatever else happened; any other reason makes it
    inconclusive, or no_data where all that is wrong is missing data. ``allow_inconclusive``
    turns exit 4 into 0, but never where data is missing.
    """
    reasons = [
        *happenings,
        *_about_generator(health, sample_count),
        *_about_gates(gates),
        *_about_faults(faults),
        *_about_ledger(ledger or {}),
    ]
    codes = {
        id(reason): signal_code if reason.code is Reason.INTERRUPTED else exit_code_of(reason.code)
        for reason in reasons
    }
    reasons.sort(key=lambda reason: PRECEDENCE.index(codes[id(reason)]))
    exit_code = most_severe(codes.values())
    lacks_data = any(reason.code in _NO_DATA for reason in reasons)
    if exit_code is ExitCode.NO_VERDICT and allow_inconclusive and not lacks_data:
        exit_code = ExitCode.PASS
    return Verdict(_status(reasons), tuple(reasons), exit_code)


def _status(reasons: Sequence[VerdictReason]) -> Status:
    codes = {reason.code for reason in reasons}
    if Reason.GATE_FAILED in codes:
        return Status.FAIL
    if not codes:
        return Status.PASS
    return Status.NO_DATA if codes <= set(_NO_DATA) else Status.INCONCLUSIVE


def _about_gates(gates: Sequence[GateResult]) -> list[VerdictReason]:
    if not gates:
        message = "the plan has no gates: nothing was asked, so nothing is answered"
        return [VerdictReason(Reason.NO_GATES, message)]
    codes = {
        Status.FAIL: Reason.GATE_FAILED,
        Status.NO_DATA: Reason.GATE_NO_DATA,
        Status.INCONCLUSIVE: Reason.GATE_INCONCLUSIVE,
    }
    return [
        VerdictReason(codes[gate.status], f"{_title(gate)}: {gate.message}")
        for gate in gates
        if gate.status in codes
    ]


def _title(gate: GateResult) -> str:
    return f"{gate.id} ({gate.label})" if gate.label else gate.id


def _about_generator(
    health: GeneratorHealth | None, sample_count: int | None
) -> list[VerdictReason]:
    reasons = []
    if sample_count == 0:
        reasons.append(VerdictReason(Reason.NO_SAMPLES, "no request was sent"))
    if health is not None and not health.healthy:
        message = f"the load generator is not reliable: {'; '.join(health.problems)}"
        if health.advice:
            message += f". To change: {'; '.join(health.advice)}"
        reasons.append(VerdictReason(Reason.GENERATOR_UNRELIABLE, message))
    return reasons


def _about_faults(faults: Sequence[FaultRecord]) -> list[VerdictReason]:
    reasons = []
    for fault in faults:
        if fault.applied_at_s is None:
            message = f"fault {fault.name} was never applied"
        elif fault.observed is None:
            message = f"whether fault {fault.name} took effect is not known: too few requests"
        elif not fault.observed:
            message = f"fault {fault.name} on {fault.edge} changed nothing that was measured"
        else:
            continue
        reasons.append(VerdictReason(Reason.FAULT_NOT_OBSERVED, message))
    return reasons


def _about_ledger(ledger: Mapping[str, LedgerCounts]) -> list[VerdictReason]:
    reasons = []
    for kind, counts in ledger.items():
        if not counts.acked:
            message = f"no write of kind {kind} was acknowledged"
            reasons.append(VerdictReason(Reason.NOTHING_ACKNOWLEDGED, message))
        elif counts.unread:
            message = f"{counts.unread} of {counts.acked} writes of kind {kind} were not read back"
            reasons.append(VerdictReason(Reason.LEDGER_UNREAD, message))
    return reasons
