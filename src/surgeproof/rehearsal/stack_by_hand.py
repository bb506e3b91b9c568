"""A stack to play with: ``python -m surgeproof.rehearsal.stack_by_hand target_app/stack.toml``.

Brings it up under a guardian, says where it answers, and takes it down on Ctrl-C.
"""

from __future__ import annotations

import argparse
import functools
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from surgeproof.clock import Clock, SystemClock
from surgeproof.errors import SurgeproofError, UsageError
from surgeproof.faults.guardian import Guardian
from surgeproof.journal.folder import RunFolder
from surgeproof.stack import ProcessStack, RunningStack, StackDefinition, read_definition

__all__ = ["main"]

_LOOK_AGAIN_S = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stack until Ctrl-C, SIGTERM or the death of a process; return the exit code."""
    options = _parser().parse_args(arguments)
    # Without this, SIGTERM would end us at once, and leave the taking down to the guardian.
    signal.signal(signal.SIGTERM, _interrupt)
    clock = SystemClock()
    try:
        environment = dict(_assignment(text) for text in options.env)
        definition = read_definition(options.stack)
        folder = RunFolder.create(options.runs, f"{definition.name}-by-hand", clock.utc_now())
        return run_by_hand(
            definition,
            folder,
            seed=options.seed,
            environment=environment,
            clock=clock,
            cache_dir=options.cache,
        )
    except SurgeproofError as error:
        print(f"stack: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def run_by_hand(
    definition: StackDefinition,
    folder: RunFolder,
    *,
    seed: int,
    environment: dict[str, str],
    clock: Clock,
    cache_dir: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> int:
    """Bring the stack up, tell about it, and wait for an interrupt or a process's death."""
    # Flushed, for whoever starts us with a pipe reads the base url from it.
    say = say or functools.partial(print, flush=True)
    started = clock.monotonic()
    with Guardian.start(folder.path) as guardian:
        stack = ProcessStack(
            definition,
            seed=seed,
            run_folder=folder,
            guardian=guardian,
            env=environment,
            clock=clock,
            cache_dir=cache_dir,
        )
        try:
            with stack as running:
                say(_description(running, folder, clock.monotonic() - started))
                while not running.dead():
                    clock.sleep(_LOOK_AGAIN_S)
                for name, pid in running.dead():
                    say(f"{name} (pid {pid}) has ended by itself; see {folder.logs}/{name}.log")
            return 1
        except KeyboardInterrupt:
            say("stopped")
            return 0


def _description(running: RunningStack, folder: RunFolder, took_s: float) -> str:
    database = {None: "none", True: "from the cache", False: "seeded anew"}
    lines = [
        f"ready after {took_s:.1f} s, database {database[running.database_was_cached]}",
        f"base url   {running.base_url}",
        f"toxiproxy  {running.toxiproxy_url or 'none'}",
        f"logs       {folder.logs}",
        *(f"edge       {name:<16} {address}" for name, address in running.edges.items()),
        *(f"process    {name:<16} pid {pid}" for name, pid in running.processes),
        *(f"metrics    {name:<16} {url}" for name, url in running.metrics_urls.items()),
        "Ctrl-C takes it down",
    ]
    return "\n".join(lines)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--env {text!r} is no setting; accepted: NAME=VALUE")
    return name, value


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m surgeproof.rehearsal.stack_by_hand",
        description="Bring a stack up, print where it answers, take it down on Ctrl-C.",
    )
    parser.add_argument("stack", type=Path, help="the stack file, such as target_app/stack.toml")
    parser.add_argument("--seed", type=int, default=1, help="seed of the database (default: 1)")
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="environment of the target's processes; may be given several times",
    )
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path("reports/runs"),
        help="folder under which logs are kept (default: reports/runs)",
    )
    parser.add_argument(
        "--cache", type=Path, help="folder of databases kept between runs (default: the user's)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
