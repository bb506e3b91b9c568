"""A whole rehearsal: folder, guardian, conduct, judgement, report, verdict."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from surgeproof.clock import Clock, SystemClock
from surgeproof.errors import (
    AbortedError,
    EnvironmentNotReadyError,
    FaultIndefiniteError,
    FaultRejectedError,
    RollbackFailedError,
    UsageError,
)
from surgeproof.faults.guardian import Guardian
from surgeproof.journal.events import EventLog
from surgeproof.journal.folder import RunFolder
from surgeproof.load.schedule import Schedule, build_schedule
from surgeproof.model.plan import Plan
from surgeproof.model.result import Verdict
from surgeproof.model.words import Reason
from surgeproof.plan import load_objectives, resolve_headers
from surgeproof.rehearsal.conduct import Conductor, Surroundings
from surgeproof.rehearsal.judgement import Happened, judge_run
from surgeproof.rehearsal.notebook import Notebook
from surgeproof.rehearsal.provenance import collect_provenance
from surgeproof.rehearsal.signals import InterruptedRunError, interruptible
from surgeproof.rehearsal.space import require_space
from surgeproof.report.live import open_live_view
from surgeproof.report.render import render_all
from surgeproof.slo.objectives import Objective
from surgeproof.stack.definition import read_definition

__all__ = ["RunOptions", "rehearse"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says beside the plan."""

    runs: Path
    prometheus_url: str | None = None
    allow_inconclusive: bool = False


@dataclass(frozen=True, slots=True)
class _Run:
    """One run and all that its stages share."""

    plan: Plan
    options: RunOptions
    objectives: tuple[Objective, ...]
    schedule: Schedule
    folder: RunFolder
    notebook: Notebook
    clock: Clock
    environ: Mapping[str, str]


def rehearse(
    plan: Plan,
    options: RunOptions,
    *,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run a plan and return the exit code; the verdict is printed to stdout.

    Once the run folder exists, whatever happens ends in a result and a report there.

    Raises:
        UsageError: a secret that the plan refers to is not in the environment.
        PlanError: the target's stack file has mistakes.
        EnvironmentNotReadyError: not even the run folder can be made.
    """
    used_clock = clock or SystemClock()
    environment = dict(os.environ if environ is None else environ)
    resolve_headers(plan.target, environment)
    if plan.target.driver == "processes" and plan.target.stack_file is not None:
        # Its mistakes are the plan's: they are told before there is a run.
        read_definition(plan.target.stack_file, plan.target.edges_file)
    require_space(options.runs)
    begun_utc = used_clock.utc_now()
    run = _Run(
        plan=plan,
        options=options,
        objectives=load_objectives(plan),
        schedule=build_schedule(plan.load, plan.seed),
        folder=RunFolder.create(options.runs, plan.name, begun_utc),
        notebook=Notebook(),
        clock=used_clock,
        environ=environment,
    )
    with interruptible():
        t0_utc = _run_guarded(run)
        try:
            verdict = _judge(run, t0_utc or begun_utc)
        except InterruptedRunError as error:
            # The load is over, so all that a first Ctrl-C can still change is the exit code.
            _note_error(error, run.notebook, run.folder)
            verdict = _judge(run, t0_utc or begun_utc)
    return _announce(run, verdict)


def _run_guarded(run: _Run) -> datetime | None:
    """Conduct the run; return t0 in UTC, None if the load never started."""
    view = open_live_view(sys.stderr, run.environ, run.clock)
    begun, begun_utc = run.clock.monotonic(), run.clock.utc_now()
    t0 = begun
    try:
        run.folder.write_text("effective.yaml", run.plan.effective)
        for name, text in run.plan.arrival_files.items():
            run.folder.write_text(name, text)
        with EventLog(run.folder.events, run.clock, begun) as events:
            events.append("run.started", name=run.plan.name, seed=run.plan.seed)
            try:
                # Leaving by an error makes the guardian end whatever was left behind.
                with Guardian.start(run.folder.logs) as guardian:
                    around = Surroundings(
                        folder=run.folder,
                        events=events,
                        guardian=guardian,
                        clock=run.clock,
                        view=view,
                        environ=run.environ,
                        prometheus_url=run.options.prometheus_url,
                    )
                    Conductor(run.plan, run.schedule, around, run.notebook).conduct()
            finally:
                t0 = events.t0
                events.append("run.ended")
    except BaseException as error:  # noqa: BLE001 - the border of a run: all of it is journalled
        _note_error(error, run.notebook, run.folder)
    finally:
        view.close()
    return None if t0 == begun else begun_utc + timedelta(seconds=t0 - begun)


def _note_error(error: BaseException, notebook: Notebook, folder: RunFolder) -> None:
    """Turn what ended the run into a reason; a bug is written down whole."""
    if isinstance(error, InterruptedRunError):
        notebook.signal_code = error.code
        notebook.because(Reason.INTERRUPTED, str(error))
    elif isinstance(error, AbortedError):
        if not notebook.reasons:
            notebook.because(Reason.ABORTED, str(error))
    elif isinstance(error, RollbackFailedError):
        notebook.because(Reason.ROLLBACK_FAILED, str(error))
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        notebook.because(Reason.ENVIRONMENT_NOT_READY, f"the disk of {folder.path} is full")
    elif isinstance(
        error, EnvironmentNotReadyError | UsageError | FaultRejectedError | FaultIndefiniteError
    ):
        notebook.because(Reason.ENVIRONMENT_NOT_READY, str(error))
    else:
        text = "".join(traceback.format_exception(error))
        print(text, file=sys.stderr)
        notebook.because(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")


def _judge(run: _Run, started_at: datetime) -> Verdict:
    folder, notebook = run.folder, run.notebook
    provenance = collect_provenance(run.plan, run.schedule.sha256)
    happened = Happened(
        started_at=started_at,
        end_s=notebook.end_s,
        faults=notebook.faults,
        observations=notebook.observations,
        effects=notebook.effects,
        reasons=tuple(notebook.reasons),
        signal_code=notebook.signal_code,
        notes=tuple(notebook.notes),
        allow_inconclusive=run.options.allow_inconclusive,
    )
    verdict, result = judge_run(
        run.plan, run.objectives, run.schedule, folder, happened, provenance=provenance
    )
    try:
        _journal_breaches(run, verdict, started_at)
        folder.write_json("provenance.json", provenance)
        folder.write_json("result.json", result)
        render_all(folder)
        folder.point_latest()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise EnvironmentNotReadyError(
            f"the disk of {folder.path} is full: the result could not be written"
        ) from error
    return verdict


def _journal_breaches(run: _Run, verdict: Verdict, started_at: datetime) -> None:
    """Add the gates that failed to the events, on the run's own axis (``started_at`` is its t0)."""
    since_t0_s = (run.clock.utc_now() - started_at).total_seconds()
    with EventLog(run.folder.events, run.clock, run.clock.monotonic() - since_t0_s) as events:
        for reason in verdict.reasons:
            if reason.code is Reason.GATE_FAILED:
                events.append("gate.breached", message=reason.message)


def _announce(run: _Run, verdict: Verdict) -> int:
    """Print the verdict, why, and where the report is, and return the exit code."""
    reasons, causes = verdict.reasons, tuple(run.notebook.reasons)
    if causes and any(reason.code is Reason.NO_SAMPLES for reason in reasons):
        # Nothing was sent, and these say why: that every gate lacks its data is no news then.
        reasons = causes
    lines = [f"{verdict.words}  {run.plan.name}"]
    lines += [f"  {reason.code}: {reason.message}" for reason in reasons]
    if not reasons:
        lines.append(f"  all {len(run.plan.gates)} gates and every objective of the plan passed")
    lines.append(f"report: {_shown(run.folder.report)}")
    print("\n".join(lines), flush=True)
    return int(verdict.exit_code)


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
