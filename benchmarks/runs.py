"""One run: a fresh judge, a tool pinned beside it, and what both had to say."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

from benchmarks.job import Job, Tool, Work
from benchmarks.judge import Seen, judging
from benchmarks.networks import fresh_network
from benchmarks.processes import Cores, Usage, last_words, run_pinned
from benchmarks.stall import Stall
from surgeproof.errors import EnvironmentNotReadyError

__all__ = ["Bench", "Entrant", "Order", "Run", "Spread", "in_turns"]

# Start-up, the last answers, and a machine that has other work to do.
_PATIENCE_S = 60.0

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Order:
    """What a tool is asked to do, before server and folder are known (see `Job`)."""

    duration_s: float
    rate_per_s: float | None
    users: int
    work: Work = Work.GET
    stall: Stall | None = None


@dataclass(frozen=True, slots=True)
class Entrant:
    """A tool and how many users, virtual users or connections it is given at a rate."""

    tool: Tool
    users: Callable[[float], int]


@dataclass(frozen=True, slots=True)
class Run:
    """What one run left: the job (its folder exists until the run is left), server's view, cost."""

    job: Job
    seen: Seen
    usage: Usage


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some runs and their range."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return it for one value or more."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Bench:
    """Where runs happen. ``failures`` maps "table: tool" to why its row is missing."""

    judge: Path
    cores: Cores
    say: Callable[[str], None]
    failures: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def run(self, tool: Tool, order: Order) -> Iterator[Run]:
        """Run a tool to its end before a judge of its own.

        Raises:
            EnvironmentNotReadyError: the tool failed, or nothing arrived.
        """
        with (
            fresh_network(self.say) as network,
            tempfile.TemporaryDirectory(prefix="surgeproof-bench-") as name,
        ):
            folder = Path(name)
            core = self.cores.server
            with judging(self.judge, folder, core, order.stall, network) as judge:
                job = Job(
                    url=judge.url,
                    folder=folder,
                    duration_s=order.duration_s,
                    rate_per_s=order.rate_per_s,
                    users=order.users,
                    work=order.work,
                )
                usage = run_pinned(
                    tool.launch(job),
                    core=self.cores.generator,
                    folder=folder,
                    patience_s=job.duration_s + _PATIENCE_S,
                    network=network,
                )
                seen = judge.finish()
            if not len(seen.arrivals_s):
                raise EnvironmentNotReadyError(f"{tool.name} sent nothing: {last_words(folder)}")
            yield Run(job, seen, usage)

    def leave_out(self, table: str, tool: str, error: EnvironmentNotReadyError) -> None:
        """Note that a row is missing, and why."""
        self.say(f"{table}: {tool} is left out: {error}")
        self.failures[f"{table}: {tool}"] = str(error).partition("\n")[0]


def in_turns(
    bench: Bench,
    table: str,
    measures: Mapping[str, Callable[[], Value]],
    repetitions: int,
) -> dict[str, list[Value]]:
    """Measure everything as often as asked, taking turns: noise then meets all alike.

    What fails once is not tried again, and has no row.
    """
    found: dict[str, list[Value]] = {name: [] for name in measures}
    for repetition in range(repetitions):
        for name, measure in measures.items():
            if name not in found:
                continue
            bench.say(f"{table} {repetition + 1}/{repetitions}: {name}")
            try:
                found[name].append(measure())
            except EnvironmentNotReadyError as error:
                bench.leave_out(table, name, error)
                del found[name]
    return found
