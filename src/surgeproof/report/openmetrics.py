"""``metrics.txt``: the run's numbers as OpenMetrics text, for CI servers and Prometheus."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from surgeproof.model.words import Status
from surgeproof.report.accounts import endpoint_results
from surgeproof.report.run import Run
from surgeproof.slo.select import timed_mask

__all__ = ["BUCKETS_S", "render_openmetrics"]

# A 1-2.5-5 series around what users notice; quantiles in the report are exact, these are not.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: samples are (suffix, labels, value)."""

    name: str
    kind: str  # gauge | counter | histogram | info | stateset
    summary: str
    samples: Sequence[tuple[str, Mapping[str, str], float]]


def render_openmetrics(run: Run) -> str:
    """Return the text, ``# EOF`` included; families without a sample are left out."""
    lines: list[str] = []
    for family in _families(run):
        if not family.samples:
            continue
        lines.append(f"# TYPE {family.name} {family.kind}")
        if family.name.endswith("_seconds"):
            lines.append(f"# UNIT {family.name} seconds")
        lines.append(f"# HELP {family.name} {_escape(family.summary)}")
        lines += [
            f"{family.name}{suffix}{_labels(labels)} {_number(value)}"
            for suffix, labels, value in family.samples
        ]
    return "\n".join([*lines, "# EOF"]) + "\n"


def _families(run: Run) -> Iterator[Family]:
    yield _info(run)
    yield from _verdict(run)
    yield from _gates(run)
    yield from _arrivals(run)
    yield from _endpoints(run)
    yield from _faults(run)
    yield from _ledger(run)


def _info(run: Run) -> Family:
    labels = {"run": run.id, "name": run.name}
    commit = run.provenance.get("git_commit")
    if commit:
        labels["commit"] = str(commit)
    return Family("surgeproof_run", "info", "The run.", [("_info", labels, 1)])


def _verdict(run: Run) -> Iterator[Family]:
    status = run.result.status if run.result else Status.INCONCLUSIVE
    states = [("", {"surgeproof_verdict": str(known)}, float(known is status)) for known in Status]
    yield Family("surgeproof_verdict", "stateset", "What the run came to.", states)
    if run.result:
        code = float(run.result.exit_code)
        about = "The exit code of the run."
        yield Family("surgeproof_exit_code", "gauge", about, [("", {}, code)])


def _gates(run: Run) -> Iterator[Family]:
    gates = run.result.gates if run.result else ()
    named = [({"gate": gate.name, "window": gate.where}, gate.result) for gate in gates]
    yield Family(
        "surgeproof_gate_passed",
        "gauge",
        "1 if the gate held, 0 otherwise, whether it failed or could not be judged.",
        [("", labels, float(result.status is Status.PASS)) for labels, result in named],
    )
    yield Family(
        "surgeproof_gate_value",
        "gauge",
        "What the gate measured, in its base unit.",
        [("", labels, result.value) for labels, result in named if result.value is not None],
    )
    yield Family(
        "surgeproof_gate_limit",
        "gauge",
        "The gate's limit, in its base unit.",
        [("", labels, result.limit) for labels, result in named],
    )


def _arrivals(run: Run) -> Iterator[Family]:
    if run.result is None:
        return
    counts = run.result.arrivals
    states = (
        ("scheduled", counts.scheduled),
        ("sent", counts.sent),
        ("late", counts.late),
        ("dropped", counts.dropped),
    )
    yield Family(
        "surgeproof_arrivals",
        "counter",
        "Arrivals: scheduled is sent plus dropped, late is a part of sent.",
        [("_total", {"state": state}, float(count)) for state, count in states],
    )


def _endpoints(run: Run) -> Iterator[Family]:
    endpoints = endpoint_results(run)
    yield Family(
        "surgeproof_requests",
        "counter",
        "Attempts by endpoint and outcome.",
        [
            ("_total", {"name": end.name, "tier": end.tier, "outcome": word}, float(count))
            for end in endpoints
            for word, count in end.outcomes.items()
        ],
    )
    yield Family(
        "surgeproof_response_time_seconds",
        "histogram",
        "End minus intended start, shed answers left out.",
        [sample for end in endpoints for sample in _histogram(run, end.name)],
    )


def _histogram(run: Run, name: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    rows = run.samples.take(run.samples.name.equal(name) & timed_mask(run.samples))
    times_s = rows.response_time_s
    for bound in BUCKETS_S:
        # NaN, what never ended, is in no bucket but the last.
        yield "_bucket", {"name": name, "le": repr(bound)}, float(np.sum(times_s <= bound))
    yield "_bucket", {"name": name, "le": "+Inf"}, float(len(rows))
    if not np.isnan(times_s).any():
        yield "_count", {"name": name}, float(len(rows))
        yield "_sum", {"name": name}, float(times_s.sum())


def _faults(run: Run) -> Iterator[Family]:
    yield Family(
        "surgeproof_fault_in_force_seconds",
        "gauge",
        "How long a fault was in force, between its acknowledgements.",
        [
            ("", {"fault": fault.name, "kind": fault.kind, "edge": fault.edge}, window.duration_s)
            for fault in run.faults
            if (window := fault.window) is not None
        ],
    )
    yield Family(
        "surgeproof_recovery_seconds",
        "gauge",
        "Time from the verified removal of a fault to recovery; none if it was not seen.",
        [
            ("", {"fault": recovery.fault}, recovery.time_s)
            for recovery in (run.result.recovery if run.result else ())
            if recovery.time_s is not None
        ],
    )


def _ledger(run: Run) -> Iterator[Family]:
    ledger = run.result.ledger if run.result else {}
    yield Family(
        "surgeproof_ledger_writes",
        "counter",
        "Writes by kind and what became of them.",
        [
            ("_total", {"kind": kind, "state": state}, float(getattr(counts, state)))
            for kind, counts in ledger.items()
            for state in ("acked", "present", "lost", "stale", "duplicated", "unread")
        ],
    )


def _labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return f"{int(value)}"
    return repr(value) if math.isfinite(value) else "NaN"
