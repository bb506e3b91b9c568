"""`result.json` as data: what a finished run came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from surgeproof.errors import FormatError
from surgeproof.model.plan import Window
from surgeproof.model.result import (
    ArrivalCounts,
    EndpointResult,
    FaultRecord,
    GateResult,
    GeneratorHealth,
    LedgerCounts,
    RecoveryResult,
    RequestCounts,
    TargetProcessors,
)
from surgeproof.model.words import Status
from surgeproof.report.fields import Fields
from surgeproof.report.gate_view import GateView, failures_first
from surgeproof.report.generator_fields import read_generator, read_quantiles, read_target

__all__ = ["Degradation", "Measures", "Objective", "ReasonText", "RunResult", "read_result"]


@dataclass(frozen=True, slots=True)
class ReasonText:
    """A reason as the file gives it; a later version may know codes that this one does not."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Measures:
    """What one endpoint did in one window; None where there was no sample."""

    count: int
    p50_s: float | None
    p99_s: float | None
    error_ratio: float | None
    shed_ratio: float | None
    degraded_ratio: float | None


@dataclass(frozen=True, slots=True)
class Degradation:
    """One endpoint under one fault, with the equally long stretches around it."""

    endpoint: str
    tier: str
    fault: str
    before: Measures
    during: Measures
    after: Measures


@dataclass(frozen=True, slots=True)
class Objective:
    """One service level objective; ``budget_spent`` is 1.0 where the budget is just used up."""

    name: str
    title: str
    good_when: str
    status: str
    target: float | None
    value: float | None
    bad: int
    total: int
    budget_spent: float | None


@dataclass(frozen=True, slots=True)
class RunResult:
    """A whole `result.json`. Gates, objectives among them, are sorted: failures first."""

    run_id: str
    name: str
    started_at: str
    seed: str
    status: Status
    reasons: tuple[ReasonText, ...]
    exit_code: int
    phases: tuple[Window, ...]
    arrivals: ArrivalCounts
    requests: RequestCounts
    endpoints: tuple[EndpointResult, ...]
    faults: tuple[FaultRecord, ...]
    gates: tuple[GateView, ...]
    ledger: Mapping[str, LedgerCounts]
    recovery: tuple[RecoveryResult, ...]
    generator: GeneratorHealth | None
    target: TargetProcessors
    objectives: tuple[Objective, ...]
    degradation: tuple[Degradation, ...]
    notes: tuple[str, ...]
    provenance: Mapping[str, object]

    @property
    def words(self) -> str:
        """GO, NO-GO or NO VERDICT."""
        return {Status.PASS: "GO", Status.FAIL: "NO-GO"}.get(self.status, "NO VERDICT")


def read_result(data: Fields) -> RunResult:
    """Return the result that a JSON object holds.

    Raises:
        FormatError: the object is no result of this schema.
    """
    schema = data.text("schema")
    if not schema.startswith("surgeproof/result/1"):
        message = f"result.json has schema {schema!r}; accepted: surgeproof/result/1"
        raise FormatError(message)
    run, verdict = data.part("run"), data.part("verdict")
    return RunResult(
        run_id=run.text("id"),
        name=run.text("name"),
        started_at=run.text("started_at"),
        seed=run.text("seed"),
        status=_status(verdict),
        reasons=tuple(
            ReasonText(reason.text("code"), reason.text("message"))
            for reason in verdict.parts("reasons")
        ),
        exit_code=data.count("exit_code"),
        phases=tuple(_phase(phase) for phase in data.parts("phases")),
        arrivals=_arrivals(data.part("arrivals")),
        requests=_requests(data.part("requests")),
        endpoints=tuple(_endpoint(endpoint) for endpoint in data.parts("endpoints")),
        faults=tuple(_fault(fault) for fault in data.parts("faults")),
        gates=failures_first([GateView.of(gate) for gate in _gates(data)]),
        ledger={kind: _ledger(counts) for kind, counts in data.named("ledger")},
        recovery=tuple(_recovery(recovery) for recovery in data.parts("recovery")),
        generator=read_generator(data.part("generator")),
        target=read_target(data.part("target")),
        objectives=tuple(_objective(objective) for objective in data.parts("objectives")),
        degradation=tuple(_degradation(row) for row in data.parts("degradation")),
        notes=data.texts("notes"),
        provenance=data.part("provenance").data,
    )


def _status(data: Fields) -> Status:
    text = data.text("status")
    if text not in set(Status):
        accepted = ", ".join(Status)
        raise FormatError(f"{data.where}.status is {text!r}; accepted: {accepted}")
    return Status(text)


def _phase(data: Fields) -> Window:
    start_s = data.number("start_s") or 0.0
    end_s = data.number("end_s")
    if end_s is None:
        end_s = start_s + (data.number("duration_s") or 0.0)
    return Window(data.text("name"), start_s, end_s)


def _arrivals(data: Fields) -> ArrivalCounts:
    return ArrivalCounts(
        unit=data.text("unit", "request"),
        scheduled=data.count("scheduled"),
        sent=data.count("sent"),
        late=data.count("late"),
        dropped=data.count("dropped"),
        lag_p99_s=data.number("lag_p99_s"),
        schedule_sha256=data.text("schedule_sha256"),
    )


def _requests(data: Fields) -> RequestCounts:
    return RequestCounts(data.count("sent"), data.count("completed"), data.count("unfinished"))


def _endpoint(data: Fields) -> EndpointResult:
    return EndpointResult(
        name=data.text("name"),
        tier=data.text("tier"),
        count=data.count("count"),
        outcomes=data.counts("outcomes"),
        response_time=read_quantiles(data.part("response_time")),
        service_time=read_quantiles(data.part("service_time")),
    )


def _fault(data: Fields) -> FaultRecord:
    return FaultRecord(
        name=data.text("name"),
        kind=data.text("kind"),
        edge=data.text("edge"),
        planned_at_s=data.number("planned_at_s") or 0.0,
        applied_at_s=data.number("applied_at_s"),
        cleared_at_s=data.number("cleared_at_s"),
        verified=bool(data.claim("verified")),
        observed=data.claim("observed"),
        detail=data.text("detail"),
    )


def _gates(data: Fields) -> tuple[GateResult, ...]:
    """Return the gates and the objectives, which are asked for a verdict just the same."""
    gates = [_gate(gate) for gate in data.parts("gates")]
    known = {gate.id for gate in gates}
    end_s = data.part("run").number("duration_s")
    window = None if end_s is None else Window("run", 0.0, end_s)
    for objective in data.parts("objectives"):
        gate_id = objective.text("id") or f"slo:{objective.text('name')}"
        if gate_id not in known:
            gates.append(
                GateResult(
                    id=gate_id,
                    expression=objective.text("good_when"),
                    status=_status(objective),
                    value=objective.number("value"),
                    limit=objective.number("target") or 0.0,
                    n=objective.count("total"),
                    window=window,
                    message=objective.text("message"),
                )
            )
    return tuple(gates)


def _gate(data: Fields) -> GateResult:
    return GateResult(
        id=data.text("id"),
        expression=data.text("expression"),
        status=_status(data),
        value=data.number("value"),
        limit=data.number("limit") or 0.0,
        n=data.count("n"),
        window=data.window("window"),
        message=data.text("message"),
        label=data.text("label"),
        first_breach_s=data.number("first_breach_s"),
    )


def _ledger(data: Fields) -> LedgerCounts:
    return LedgerCounts(
        acked=data.count("acked"),
        present=data.count("present"),
        lost=data.count("lost"),
        stale=data.count("stale"),
        duplicated=data.count("duplicated"),
        indefinite=data.count("indefinite"),
        recovered=data.count("recovered"),
        unread=data.count("unread"),
        lost_keys=data.texts("lost_keys"),
        duplicated_keys=data.texts("duplicated_keys"),
    )


def _recovery(data: Fields) -> RecoveryResult:
    return RecoveryResult(
        fault=data.text("fault"),
        time_s=data.number("time_s"),
        censored_s=data.number("censored_s"),
        window=data.window("window") or Window("", 0.0, 0.0),
    )


def _objective(data: Fields) -> Objective:
    return Objective(
        name=data.text("name"),
        title=data.text("title"),
        good_when=data.text("good_when"),
        status=data.text("status"),
        target=data.number("target"),
        value=data.number("value"),
        bad=data.count("bad"),
        total=data.count("total"),
        budget_spent=data.number("budget_spent"),
    )


def _degradation(data: Fields) -> Degradation:
    return Degradation(
        endpoint=data.text("endpoint"),
        tier=data.text("tier"),
        fault=data.text("fault"),
        before=_measures(data.part("before")),
        during=_measures(data.part("during")),
        after=_measures(data.part("after")),
    )


def _measures(data: Fields) -> Measures:
    return Measures(
        count=data.count("n"),
        p50_s=data.number("p50_s"),
        p99_s=data.number("p99_s"),
        error_ratio=data.number("error_ratio"),
        shed_ratio=data.number("shed_ratio"),
        degraded_ratio=data.number("degraded_ratio"),
    )
