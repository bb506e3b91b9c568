"""The command line: parse, call, print, and leave with the exit code of the contract.

Machine output goes to stdout, everything for people to stderr but for a command's own answer.
Heavy parts are imported by the command that needs them: `surgeproof version` must not pay for
locust or matplotlib.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from surgeproof import __version__
from surgeproof.errors import SurgeproofError

__all__ = ["main"]

DEFAULT_PLAN = Path("scenarios/launch_day.yaml")
DEFAULT_RUNS = Path("reports/runs")

_EXIT_CODES = """\
exit codes:
  0 go (every gate passed)          6 environment not ready
  1 internal error                  7 generator unreliable or replay out of tolerance
  2 usage or plan error             8 aborted by a guard
  3 no-go (a gate failed)           9 a fault could not be rolled back
  4 no data or inconclusive         130/143 ended by SIGINT/SIGTERM
"""

_RUN_EPILOG = f"""\
The plan names the target, the load, the faults and the gates on one time axis. Everything lands
in a new folder under --out: report.html, result.json, junit.xml, summary.md, events, samples, logs.
A first Ctrl-C removes the faults, stops the target and still reports; a second one leaves at once,
and the guardian process cleans up.

examples:
  surgeproof run
  surgeproof run scenarios/ci_smoke.yaml --out /tmp/runs
  surgeproof run --set seed=7 --set target.env.APP_FALLBACK_OFF=feed-timeline

{_EXIT_CODES}"""


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="surgeproof",
        description="Rehearse a launch: surge a system, break its dependencies, say go or no-go.",
        epilog=_EXIT_CODES,
        formatter_class=raw,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = commands.add_parser(
        "run",
        help="run a whole rehearsal and print the verdict",
        description="Run a whole rehearsal and print the verdict, where the report is, and why.",
        epilog=_RUN_EPILOG,
        formatter_class=raw,
    )
    _add_plan_arguments(run)
    run.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_RUNS,
        metavar="DIR",
        help="where run folders go (default: %(default)s)",
    )
    run.add_argument(
        "--prometheus",
        metavar="URL",
        help="read server-side series from this Prometheus instead of starting one from PATH",
    )
    run.add_argument(
        "--allow-inconclusive",
        action="store_true",
        help="exit 0 instead of 4 when the verdict is inconclusive (never when there is no data)",
    )
    run.set_defaults(run=_run)

    validate = commands.add_parser(
        "validate",
        help="check plan files without sending anything; all mistakes at once",
        description="Check plan files and send nothing; every mistake with file:line:column.",
        formatter_class=raw,
    )
    validate.add_argument("plans", nargs="*", type=Path, metavar="PLAN", help=_plan_help())
    _add_override_arguments(validate)
    validate.set_defaults(run=_validate)

    doctor = commands.add_parser(
        "doctor",
        help="check that this machine can rehearse; each problem with its fix",
        description="Check binaries, limits, disk and clock; exit 6 if a rehearsal cannot run. "
        "What only some plans need is a warning, unless PLAN is one of them.",
    )
    doctor.add_argument(
        "plan", nargs="?", type=Path, help=f"a plan file (default: {DEFAULT_PLAN} if there is one)"
    )
    doctor.add_argument(
        "--load",
        action="store_true",
        help="measure instead how much this machine can send (15 to 30 s, against a bare "
        "server of its own); exit 6 if PLAN asks for more",
    )
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.set_defaults(run=_doctor)

    report = commands.add_parser(
        "report",
        help="make a run's report again from its folder; nothing is re-run",
        description="Make report.html, junit.xml, summary.md and metrics.txt again from a run's "
        "folder alone. Killed runs can be reported too.",
    )
    report.add_argument(
        "folder", type=Path, metavar="RUN", help="a run folder, e.g. reports/runs/latest"
    )
    report.set_defaults(run=_report)

    version = commands.add_parser("version", help="print the version")
    version.add_argument("--json", action="store_true", help="print versions as JSON")
    version.set_defaults(run=_version)
    return parser


def _plan_help() -> str:
    return f"a plan or experiment file (default: {DEFAULT_PLAN})"


def _add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", nargs="?", type=Path, default=DEFAULT_PLAN, help=_plan_help())
    _add_override_arguments(parser)


def _add_override_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help="override a key of the plan by its path, e.g. load.phases.surge.duration=30s "
        "(may be repeated)",
    )
    parser.add_argument("--profile", help="apply one of the plan's profiles, e.g. short")
    parser.add_argument("--seed", type=int, help="another seed, same as --set seed=N")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every error becomes a message and a code."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except SurgeproofError as error:
        print(f"surgeproof: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone (`surgeproof … | head`): nothing is wrong.
        sys.stderr.close()
        return 0
    except KeyboardInterrupt as interrupt:
        # What a run makes of a signal tells which one it was.
        return int(getattr(interrupt, "code", 130))
    except Exception:  # noqa: BLE001 - the border: a bug is told as one, with its own code
        traceback.print_exc()
        print("surgeproof: internal error, please report the lines above", file=sys.stderr)
        return 1


def _overrides(parsed: argparse.Namespace) -> list[str]:
    seed = [] if parsed.seed is None else [f"seed={parsed.seed}"]
    return [*parsed.overrides, *seed]


def _run(parsed: argparse.Namespace) -> int:
    # Late: numpy, pyarrow and the HTTP clients are needed by this command only.
    from surgeproof.plan import load_plan  # noqa: PLC0415

    plan = load_plan(
        parsed.plan,
        overrides=_overrides(parsed),
        profile=parsed.profile,
        environ=os.environ,
    )
    # Later still: what is wrong with a plan is told without waiting for all of these.
    from surgeproof.rehearsal.rehearse import RunOptions, rehearse  # noqa: PLC0415

    options = RunOptions(
        runs=parsed.out,
        prometheus_url=parsed.prometheus,
        allow_inconclusive=parsed.allow_inconclusive,
    )
    return rehearse(plan, options)


def _validate(parsed: argparse.Namespace) -> int:
    from surgeproof.errors import PlanError  # noqa: PLC0415
    from surgeproof.plan import load_plan  # noqa: PLC0415 - see _run

    code = 0
    for path in parsed.plans or [DEFAULT_PLAN]:
        try:
            plan = load_plan(path, overrides=_overrides(parsed), profile=parsed.profile)
        except PlanError as error:
            print(error, file=sys.stderr)
            code = error.exit_code
            continue
        print(
            f"{path}: valid: {len(plan.load.phases)} phases, {plan.duration_s:.0f} s, "
            f"{len(plan.faults)} faults, {len(plan.gates)} gates"
        )
    return code


def _doctor(parsed: argparse.Namespace) -> int:
    from surgeproof.plan import load_plan  # noqa: PLC0415 - see _run
    from surgeproof.rehearsal.doctor import examine, print_findings  # noqa: PLC0415

    if parsed.load:
        return _doctor_load(parsed)
    path = parsed.plan or (DEFAULT_PLAN if DEFAULT_PLAN.exists() else None)
    findings = examine(DEFAULT_RUNS, plan=None if path is None else load_plan(path))
    print_findings(findings, as_json=parsed.json)
    return 6 if any(finding.level == "fail" for finding in findings) else 0


def _doctor_load(parsed: argparse.Namespace) -> int:
    from surgeproof.plan import load_plan  # noqa: PLC0415 - see _run
    from surgeproof.rehearsal.doctor_load import (  # noqa: PLC0415
        fits,
        measure,
        print_capacity,
    )

    plan = None if parsed.plan is None else load_plan(parsed.plan)
    found = measure()
    is_enough, words = (True, None) if plan is None else fits(plan, found)
    print_capacity(found, words, as_json=parsed.json)
    return 0 if is_enough else 6


def _report(parsed: argparse.Namespace) -> int:
    from surgeproof.journal.folder import RunFolder  # noqa: PLC0415 - see _run

    folder = RunFolder.open(parsed.folder)
    from surgeproof.report.render import render_all  # noqa: PLC0415 - templates and figures

    for path in render_all(folder):
        print(path)
    return 0


def _version(parsed: argparse.Namespace) -> int:
    if parsed.json:
        print(json.dumps({"surgeproof": __version__, "python": platform.python_version()}))
    else:
        print(f"surgeproof {__version__}")
    return 0
