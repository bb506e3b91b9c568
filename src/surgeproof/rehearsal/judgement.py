"""From the journal to the result: load the arrays, judge, and say it as ``result.json`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from surgeproof import __version__
from surgeproof.check.ledger import count_ledger, read_findings, read_writes
from surgeproof.journal.folder import RunFolder
from surgeproof.journal.pulses import read_pulses
from surgeproof.journal.samples import read_drops, read_samples
from surgeproof.journal.target_cpu import read_target_cpu
from surgeproof.load.k6.report import compare_with_k6
from surgeproof.load.schedule import Schedule
from surgeproof.model.plan import Phase, Plan, Window
from surgeproof.model.result import (
    FaultRecord,
    GateResult,
    GeneratorHealth,
    LedgerCounts,
    RecoveryResult,
    TargetProcessors,
    Verdict,
    VerdictReason,
)
from surgeproof.model.words import ExitCode
from surgeproof.slo.accounting import count_arrivals, count_endpoints, count_requests
from surgeproof.slo.degradation import degradation_table
from surgeproof.slo.gates import implicit_gates, judge_all
from surgeproof.slo.generators import count_error_kinds, count_waits, describe_generators
from surgeproof.slo.health import GeneratorSigns, assess_generator, smallest_limit_s
from surgeproof.slo.objectives import Objective, judge_objectives
from surgeproof.slo.observed import observe_faults
from surgeproof.slo.recovery import find_recoveries
from surgeproof.slo.run_data import RunData
from surgeproof.slo.verdict import decide

__all__ = ["SCHEMA", "Happened", "judge_run"]

SCHEMA = "surgeproof/result/1"


@dataclass(frozen=True, slots=True)
class Happened:
    """What only the rehearsal itself can tell about a run.

    ``end_s`` is where the run was over, in seconds since t0 (0 if no load was ever sent).
    ``observations`` and ``effects`` say per fault whether the target felt it, and in what way.
    """

    started_at: datetime
    end_s: float
    faults: tuple[FaultRecord, ...] = ()
    observations: Mapping[str, bool | None] = field(default_factory=dict)
    effects: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[VerdictReason, ...] = ()
    signal_code: ExitCode = ExitCode.INTERRUPTED
    notes: tuple[str, ...] = ()
    allow_inconclusive: bool = False


def judge_run(
    plan: Plan,
    objectives: Sequence[Objective],
    schedule: Schedule,
    folder: RunFolder,
    happened: Happened,
    *,
    provenance: Mapping[str, object],
) -> tuple[Verdict, dict[str, object]]:
    """Return the verdict of a run and the content of its ``result.json``.

    Raises:
        FormatError: the journal cannot be read.
    """
    samples, drops = read_samples(folder.samples), read_drops(folder.samples)
    run = Window("run", 0.0, happened.end_s)
    warm_up_end_s = _warm_up_end_s(plan.load.phases)
    faults = observe_faults(
        samples,
        drops,
        happened.faults,
        run=run,
        warm_up_end_s=warm_up_end_s,
        observations=happened.observations,
    )
    recoveries = find_recoveries(samples, drops, faults, run=run, warm_up_end_s=warm_up_end_s)
    ledger = count_ledger(
        read_writes(folder.samples),
        read_findings(folder.path / "read_back.json"),
        plan.ledger_kinds,
    )
    data = RunData(
        samples=samples,
        drops=drops,
        run=run,
        endpoints=plan.endpoints,
        phases=tuple(phase.window for phase in plan.load.phases),
        faults={fault.name: fault.window for fault in faults if fault.window is not None},
        recoveries=recoveries,
        ledger=ledger,
    )
    gates = (*judge_all(plan.gates, data), *judge_all(implicit_gates(plan.ledger_kinds), data))
    judged = judge_objectives(objectives, data)
    arrivals = count_arrivals(
        samples,
        drops,
        unit=plan.load.unit,
        scheduled=schedule.expected(None, run),
        schedule_sha256=schedule.sha256,
        late_after_s=plan.load.late_after_s,
    )
    generators = describe_generators(read_pulses(folder.samples), samples)
    health = assess_generator(
        arrivals,
        plan.load,
        GeneratorSigns(
            processes=generators,
            waits=count_waits(samples, generators, late_after_s=plan.load.late_after_s),
            error_kinds=count_error_kinds(samples),
        ),
        smallest_gated_limit_s=smallest_limit_s(plan.gates),
    )
    verdict = decide(
        (*gates, *(objective.gate for objective in judged)),
        faults=faults,
        health=health if len(samples) or len(drops) else None,
        ledger=ledger,
        sample_count=len(samples),
        happenings=happened.reasons,
        signal_code=happened.signal_code,
        allow_inconclusive=happened.allow_inconclusive,
    )
    result: dict[str, object] = {
        "schema": SCHEMA,
        "surgeproof": __version__,
        "run": {
            "id": folder.id,
            "name": plan.name,
            "started_at": happened.started_at.isoformat(timespec="milliseconds"),
            "duration_s": round(happened.end_s, 3),
            "seed": plan.seed,
        },
        "verdict": {
            "status": str(verdict.status),
            "words": verdict.words,
            "reasons": [
                {"code": str(reason.code), "message": reason.message} for reason in verdict.reasons
            ],
        },
        "exit_code": int(verdict.exit_code),
        "phases": [_phase_json(phase) for phase in plan.load.phases],
        "arrivals": asdict(arrivals),
        "requests": asdict(count_requests(samples)),
        "endpoints": [asdict(row) for row in count_endpoints(samples, plan.endpoints)],
        "faults": [_fault_json(fault, happened.effects) for fault in faults],
        "gates": [_gate_json(gate) for gate in gates],
        "objectives": [objective.to_json() for objective in judged],
        "ledger": {kind: _ledger_json(counts) for kind, counts in ledger.items()},
        "recovery": [_recovery_json(recovery) for recovery in recoveries.values()],
        "degradation": [
            cell.to_json()
            for cell in degradation_table(
                samples,
                drops,
                plan.endpoints,
                faults,
                recoveries,
                run=run,
                warm_up_end_s=warm_up_end_s,
            )
        ],
        "generator": _generator_json(health),
        "target": _target_json(read_target_cpu(folder.path)),
        "windows": [_window_json(window) for window in _windows(data)],
        "notes": [*happened.notes, *compare_with_k6(folder.samples, gates)],
        "provenance": dict(provenance),
    }
    return verdict, result


def _warm_up_end_s(phases: Sequence[Phase]) -> float:
    """Return where the first phase ends if there are more: its cold caches are no baseline."""
    return phases[0].duration_s if len(phases) > 1 else 0.0


def _windows(data: RunData) -> list[Window]:
    recovery = [found.window for found in data.recoveries.values()]
    return [data.run, *data.phases, *data.faults.values(), *recovery]


def _window_json(window: Window) -> dict[str, object]:
    return {"name": window.name, "start_s": window.start_s, "end_s": window.end_s}


def _phase_json(phase: Phase) -> dict[str, object]:
    return {
        "name": phase.name,
        "start_s": phase.start_s,
        "end_s": phase.start_s + phase.duration_s,
        "mix": phase.mix,
    }


def _fault_json(fault: FaultRecord, effects: Mapping[str, str]) -> dict[str, object]:
    return asdict(fault) | {"detail": effects.get(fault.name, fault.detail)}


def _gate_json(gate: GateResult) -> dict[str, object]:
    return asdict(gate) | {
        "status": str(gate.status),
        "window": None if gate.window is None else _window_json(gate.window),
    }


def _recovery_json(recovery: RecoveryResult) -> dict[str, object]:
    return asdict(recovery) | {"window": _window_json(recovery.window)}


def _ledger_json(counts: LedgerCounts) -> dict[str, object]:
    keys = {"lost_keys": list(counts.lost_keys), "duplicated_keys": list(counts.duplicated_keys)}
    return asdict(counts) | keys


def _generator_json(health: GeneratorHealth) -> dict[str, object]:
    processes = [
        asdict(each) | {"blocked": [asdict(code) for code in each.blocked]}
        for each in health.processes
    ]
    return asdict(health) | {
        "problems": list(health.problems),
        "advice": list(health.advice),
        "processes": processes,
    }


def _target_json(target: TargetProcessors) -> dict[str, object]:
    return asdict(target) | {"processes": [asdict(each) for each in target.processes]}
