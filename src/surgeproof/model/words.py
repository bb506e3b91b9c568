"""The closed vocabularies: outcomes, tiers, statuses and reason codes."""

from __future__ import annotations

from enum import IntEnum, StrEnum

__all__ = ["ExitCode", "Outcome", "Reason", "Status", "Tier"]


class Tier(StrEnum):
    """How dear an endpoint is: T0 must survive, T3 is shed first."""

    T0 = "T0"
    T1 = "T1"
    T2 = "T2"
    T3 = "T3"


class Outcome(StrEnum):
    """What became of one attempt; each sample is exactly one."""

    FULL = "full"
    DEGRADED = "degraded"
    SHED = "shed"
    ERROR = "error"
    WRONG = "wrong"


class Status(StrEnum):
    """What a gate, or the whole run, came to."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    NO_DATA = "no_data"
    INCONCLUSIVE = "inconclusive"


class Reason(StrEnum):
    """Why a verdict is what it is (``verdict.reasons[].code``)."""

    GATE_FAILED = "gate_failed"
    GATE_NO_DATA = "gate_no_data"
    GATE_INCONCLUSIVE = "gate_inconclusive"
    NO_GATES = "no_gates"
    NO_SAMPLES = "no_samples"
    FAULT_NOT_OBSERVED = "fault_not_observed"
    NOTHING_ACKNOWLEDGED = "nothing_acknowledged"
    LEDGER_UNREAD = "ledger_unread"
    REPLAY_OUT_OF_TOLERANCE = "replay_out_of_tolerance"
    GENERATOR_UNRELIABLE = "generator_unreliable"
    GENERATOR_LOST = "generator_lost"
    ABORTED = "aborted"
    INTERRUPTED = "interrupted"
    TIMED_OUT = "timed_out"
    ROLLBACK_FAILED = "rollback_failed"
    PROXY_RESTARTED = "proxy_restarted"
    ENVIRONMENT_NOT_READY = "environment_not_ready"
    STEADY_STATE_NOT_REACHED = "steady_state_not_reached"
    INTERNAL_ERROR = "internal_error"


class ExitCode(IntEnum):
    """Exit codes are public API; `slo.verdict` holds their precedence."""

    PASS = 0
    INTERNAL_ERROR = 1
    USAGE = 2
    GATE_FAILED = 3
    NO_VERDICT = 4
    WORSE = 5
    ENVIRONMENT = 6
    UNRELIABLE = 7
    ABORTED = 8
    ROLLBACK_FAILED = 9
    INTERRUPTED = 130
    TERMINATED = 143
