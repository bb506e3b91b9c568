"""What a run came to: the parts of `result.json`, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from surgeproof.model.plan import Window
from surgeproof.model.words import ExitCode, Reason, Status

__all__ = [
    "ArrivalCounts",
    "BlockedLoop",
    "ClientWaits",
    "EndpointResult",
    "FaultRecord",
    "GateResult",
    "GeneratorHealth",
    "GeneratorProcess",
    "LedgerCounts",
    "ProcessorUse",
    "Quantiles",
    "RecoveryResult",
    "RequestCounts",
    "TargetProcessors",
    "Verdict",
    "VerdictReason",
]


@dataclass(frozen=True, slots=True)
class ArrivalCounts:
    """The accounting of arrivals: ``scheduled = sent + dropped``; ``late`` is a part of sent."""

    unit: str
    scheduled: int
    sent: int
    late: int
    dropped: int
    lag_p99_s: float | None
    schedule_sha256: str


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """What became of the requests; ``unfinished`` are those whose end was never seen."""

    sent: int
    completed: int
    unfinished: int


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Exact sample quantiles in seconds; None where there is no sample."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class EndpointResult:
    """What became of the attempts at one endpoint; times in seconds."""

    name: str
    tier: str
    count: int
    outcomes: Mapping[str, int]
    response_time: Quantiles
    service_time: Quantiles


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """A fault as it went: acknowledged times in seconds since t0, None where it never happened.

    ``observed`` says whether the fault's effect was seen (None: not judged).
    """

    name: str
    kind: str
    edge: str
    planned_at_s: float
    applied_at_s: float | None
    cleared_at_s: float | None
    verified: bool
    observed: bool | None
    detail: str = ""

    @property
    def window(self) -> Window | None:
        """``fault:NAME``: from acknowledged apply to verified removal; None if never applied."""
        if self.applied_at_s is None or self.cleared_at_s is None:
            return None
        return Window(f"fault:{self.name}", self.applied_at_s, self.cleared_at_s)


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate judged. ``value`` and ``limit`` are in the gate's base unit; ``n`` samples."""

    id: str
    expression: str
    status: Status
    value: float | None
    limit: float
    n: int
    window: Window | None
    message: str  # the reason in words, for people
    label: str = ""  # the value of the `each` label, if any
    first_breach_s: float | None = None


@dataclass(frozen=True, slots=True)
class RecoveryResult:
    """``time_s`` from verified removal until recovered; None with ``censored_s`` if not seen."""

    fault: str
    time_s: float | None
    censored_s: float | None
    window: Window


@dataclass(frozen=True, slots=True)
class LedgerCounts:
    """Writes of one kind, acknowledged and read back."""

    acked: int
    present: int
    lost: int
    stale: int
    duplicated: int
    indefinite: int
    recovered: int
    unread: int
    lost_keys: tuple[str, ...] = ()
    duplicated_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockedLoop:
    """Code of a journey that kept the event loop from running, and for how long at most."""

    journey: str
    place: str  # FILE:LINE
    count: int
    longest_s: float


@dataclass(frozen=True, slots=True)
class GeneratorProcess:
    """One generator over the whole run, by its own account; None is what it did not tell.

    ``cpu_ratio`` is processor seconds per second, ``cpu_most_ratio`` that of its busiest second.
    ``busy_ratio`` and ``steal_ratio`` are of the ``cores`` that it may use, whoever used them.
    ``lag`` is how late its arrivals were sent, ``waited`` how many requests found no connection
    free.
    """

    generator: int
    cpu_ratio: float | None
    cpu_most_ratio: float | None
    cores: int | None
    busy_ratio: float | None
    steal_ratio: float | None
    lag: Quantiles
    loop_lag_p99_s: float | None
    gc_pauses: int | None
    gc_longest_s: float | None
    gc_total_s: float | None
    files_most: int | None
    files_limit: int | None
    ports_most: int | None
    ports_limit: int | None
    in_flight_most: int | None
    waited: int | None
    blocked: tuple[BlockedLoop, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientWaits:
    """How long requests waited within the generator.

    It is the part of response time that is not the target's.

    ``waited`` of ``requests`` were sent over ``late_after`` after they were due, ``never_sent``
    of them not at all. ``is_limited``: so many waited for a connection that response times tell
    of the generator's limits as well as of the target.
    """

    requests: int
    waited: int
    never_sent: int
    wait: Quantiles
    response_time: Quantiles
    service_time: Quantiles
    is_limited: bool


@dataclass(frozen=True, slots=True)
class GeneratorHealth:
    """Whether the load can be believed: ``problems`` say why not, ``advice`` what to change.

    ``cpu_ratio`` is processor seconds per second of the busiest generator process.
    """

    cpu_ratio: float | None
    loop_lag_p99_s: float | None
    lag_p99_s: float | None
    dropped_ratio: float
    healthy: bool
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    waits: ClientWaits | None = None
    processes: tuple[GeneratorProcess, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessorUse:
    """One process of the target with its children, in processor seconds per second."""

    name: str
    cpu_ratio: float
    cpu_most_ratio: float


@dataclass(frozen=True, slots=True)
class TargetProcessors:
    """What the target used in all and in its busiest second; None: it is not of this run."""

    cpu_ratio: float | None
    cpu_most_ratio: float | None
    processes: tuple[ProcessorUse, ...] = ()


@dataclass(frozen=True, slots=True)
class VerdictReason:
    """Why the verdict is what it is, as a code and in words."""

    code: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the run comes to, with every reason for it."""

    status: Status
    reasons: tuple[VerdictReason, ...]
    exit_code: ExitCode

    @property
    def words(self) -> str:
        """GO, NO-GO or NO VERDICT."""
        return {Status.PASS: "GO", Status.FAIL: "NO-GO"}.get(self.status, "NO VERDICT")
