"""What a run costs before it does anything: a one-second run less its second."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.job import Launch, Tool, peer_environment
from benchmarks.processes import run_pinned
from benchmarks.runs import Bench, Entrant, Order, Spread, in_turns

__all__ = ["COMMANDS", "StartupRow", "measure_startup"]

_RATE_PER_S = 10.0
_RUN_S = 1.0
_PATIENCE_S = 60.0
_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = (str(Path(sys.executable).parent / "surgeproof"),)
# Commands that send nothing, and must not pay for what does. The plan is the smallest there is.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "surgeproof version": (*_PROGRAM, "version"),
    "surgeproof validate": (*_PROGRAM, "validate", "scenarios/ci_smoke.yaml"),
}


@dataclass(frozen=True, slots=True)
class StartupRow:
    """Wall seconds over the run's own time, and CPU seconds in all."""

    tool: str
    over_s: Spread
    cpu_s: float


def measure_startup(
    bench: Bench, entrants: Sequence[Entrant], *, repetitions: int
) -> list[StartupRow]:
    """Run every tool for a second at 10/s, and every command of ours that sends nothing."""

    def run(tool: Tool, users: int) -> tuple[float, float]:
        with bench.run(tool, Order(_RUN_S, _RATE_PER_S, users)) as ended:
            return max(0.0, ended.usage.wall_s - _RUN_S), ended.usage.cpu_s

    def call(command: Sequence[str]) -> tuple[float, float]:
        with tempfile.TemporaryDirectory(prefix="surgeproof-bench-") as folder:
            usage = run_pinned(
                Launch(command, peer_environment(), directory=_ROOT),
                core=bench.cores.generator,
                folder=Path(folder),
                patience_s=_PATIENCE_S,
            )
        return usage.wall_s, usage.cpu_s

    measures: dict[str, Callable[[], tuple[float, float]]] = {
        each.tool.name: partial(run, each.tool, each.users(_RATE_PER_S)) for each in entrants
    }
    measures |= {name: partial(call, command) for name, command in COMMANDS.items()}
    found = in_turns(bench, "startup", measures, repetitions)
    return [
        StartupRow(
            name,
            Spread.of([over_s for over_s, _ in runs]),
            Spread.of([cpu_s for _, cpu_s in runs]).median,
        )
        for name, runs in found.items()
    ]
