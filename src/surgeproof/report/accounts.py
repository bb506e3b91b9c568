"""The rows of the report's smaller tables, made of a run in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from surgeproof.model.result import EndpointResult, FaultRecord
from surgeproof.model.words import Outcome
from surgeproof.report.result_file import RunResult
from surgeproof.report.run import Run
from surgeproof.report.wording import NOTHING, ratio_text, seconds_text
from surgeproof.slo.accounting import count_endpoints

__all__ = ["FaultRow", "endpoint_results", "fault_rows", "outcome_share", "provenance_groups"]

_NONE = "not known"


@dataclass(frozen=True, slots=True)
class FaultRow:
    """A fault as planned and as acknowledged, and how the target came back."""

    name: str
    kind: str
    edge: str
    planned: str
    applied: str
    cleared: str
    in_force: str
    removal: str
    effect: str
    recovery: str
    is_good: bool


def fault_rows(run: Run) -> tuple[FaultRow, ...]:
    """Return what the report says of each fault, in the order of the plan."""
    return tuple(_fault_row(run, fault) for fault in run.faults)


def endpoint_results(run: Run) -> tuple[EndpointResult, ...]:
    """Return the result's endpoints; without a result they are counted from the samples."""
    if run.result is not None:
        return run.result.endpoints
    return count_endpoints(run.samples, ())


def outcome_share(endpoint: EndpointResult, word: str) -> str:
    """Return the share of an outcome in words; error counts wrong answers too."""
    total = sum(endpoint.outcomes.values())
    if not total:
        return NOTHING
    found = endpoint.outcomes.get(word, 0)
    if word == Outcome.ERROR:
        found += endpoint.outcomes.get(Outcome.WRONG, 0)
    return ratio_text(found / total)


def provenance_groups(
    data: Mapping[str, object],
) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Return the groups of the provenance with their rows; what stands alone comes first."""
    alone = {key: value for key, value in data.items() if not isinstance(value, Mapping)}
    groups = [("run", alone)] if alone else []
    groups += [(key, dict(value)) for key, value in data.items() if isinstance(value, Mapping)]
    return tuple(
        (title.replace("_", " "), tuple(_provenance_row(key, inside[key]) for key in inside))
        for title, inside in groups
    )


def _provenance_row(key: str, value: object) -> tuple[str, str]:
    name = str(key).replace("_", " ")
    if isinstance(value, bool):
        return name, "yes" if value else "no"
    if isinstance(value, int) and key.endswith("_bytes"):
        return name.removesuffix(" bytes"), f"{value / 2**30:.1f} GiB"
    if isinstance(value, list | tuple):
        return name, ", ".join(str(part) for part in value) or NOTHING
    return name, _NONE if value is None else str(value)


def _fault_row(run: Run, fault: FaultRecord) -> FaultRow:
    window = fault.window
    recovery, recovered = _recovery(run.result, fault.name)
    effect = {True: "seen", False: "not seen", None: "not judged"}[fault.observed]
    effect += f": {fault.detail}" if fault.detail else ""
    return FaultRow(
        name=fault.name,
        kind=fault.kind,
        edge=fault.edge,
        planned=_at(fault.planned_at_s),
        applied=_at(fault.applied_at_s) if fault.applied_at_s is not None else "never",
        cleared=_at(fault.cleared_at_s) if fault.cleared_at_s is not None else "never",
        in_force=seconds_text(window.duration_s) if window else NOTHING,
        removal="verified" if fault.verified else "not verified",
        effect=effect,
        recovery=recovery,
        is_good=fault.verified and fault.observed is not False and recovered,
    )


def _recovery(result: RunResult | None, fault: str) -> tuple[str, bool]:
    for recovery in result.recovery if result else ():
        if recovery.fault == fault:
            if recovery.time_s is not None:
                return seconds_text(recovery.time_s), True
            if recovery.censored_s is not None:
                return f"not within {seconds_text(recovery.censored_s)}", False
    return "not watched", True


def _at(t_s: float | None) -> str:
    return NOTHING if t_s is None else f"{t_s:.2f}\N{NO-BREAK SPACE}s"
