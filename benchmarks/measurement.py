"""The measurements: each tool in turn on an even schedule, all of them before a server's stall."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.evenness import Evenness, evenness_of
from benchmarks.pinned import Cores, arrival_server, run_pinned
from benchmarks.stall import ResponseTimes, Stall
from benchmarks.tools import Job, Surgeproof, Tool

__all__ = [
    "FULL",
    "QUICK",
    "Extent",
    "OpenRow",
    "OpenRun",
    "StallRow",
    "StallRun",
    "measure_open",
    "measure_stall",
]

# Start-up, the last answers, and a machine that has other work to do.
_PATIENCE_S = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured. ``skip_s`` is what each open run is given to settle."""

    repetitions: int
    open_rates_per_s: tuple[float, ...]
    open_duration_s: float
    skip_s: float
    stall: Stall
    stall_rate_per_s: float
    stall_duration_s: float


FULL = Extent(3, (200.0, 1000.0), 4.0, 1.0, Stall(10.0, 2.0, 4.0), 200.0, 20.0)
QUICK = Extent(1, (200.0,), 2.0, 0.5, Stall(5.0, 1.0, 2.0), 200.0, 5.0)


@dataclass(frozen=True, slots=True)
class OpenRun:
    """One run on an even schedule; ``cpu_s`` holds the tool's start-up too."""

    evenness: Evenness
    cpu_s: float
    timer: str | None


@dataclass(frozen=True, slots=True)
class OpenRow:
    """All runs of one tool at one rate."""

    tool: str
    rate_per_s: float
    runs: tuple[OpenRun, ...]

    def middle(self, value: Callable[[OpenRun], float]) -> float:
        """Return the median of a value over the runs."""
        return median(value(run) for run in self.runs)

    @property
    def lag_p99_s(self) -> float:
        return self.middle(lambda run: run.evenness.lag_p99_s)

    @property
    def cpu_s(self) -> float:
        return self.middle(lambda run: run.cpu_s)

    @property
    def busiest_bin_ratio(self) -> float:
        return self.middle(lambda run: run.evenness.busiest_bin_ratio)

    @property
    def held_per_s(self) -> float:
        return self.middle(lambda run: run.evenness.rate_per_s)


@dataclass(frozen=True, slots=True)
class StallRun:
    """One run before a stalling server: what the tool says, and what the server counted."""

    reported: ResponseTimes
    arrived: int
    arrived_in_stall: int


@dataclass(frozen=True, slots=True)
class StallRow:
    """All runs of one tool before the stalling server."""

    tool: str
    runs: tuple[StallRun, ...]

    def middle(self, value: Callable[[StallRun], float]) -> float:
        """Return the median of a value over the runs."""
        return median(value(run) for run in self.runs)

    @property
    def p90_s(self) -> float:
        return self.middle(lambda run: run.reported.p90_s)


def measure_open(tools: Sequence[Tool], extent: Extent, cores: Cores, say: Say) -> list[OpenRow]:
    """Run every tool at every rate, one at a time, in turns so that noise meets all alike.

    Raises:
        EnvironmentNotReadyError: a tool failed or sent next to nothing.
    """
    runs: dict[tuple[str, float], list[OpenRun]] = {
        (tool.name, rate): [] for rate in extent.open_rates_per_s for tool in tools
    }
    for repetition in range(extent.repetitions):
        for rate in extent.open_rates_per_s:
            for tool in tools:
                say(f"open schedule {repetition + 1}/{extent.repetitions}: {tool.name}, {rate:g}/s")
                runs[tool.name, rate].append(_open_run(tool, rate, extent, cores))
    return [OpenRow(name, rate, tuple(each)) for (name, rate), each in runs.items()]


def measure_stall(tools: Sequence[Tool], extent: Extent, cores: Cores, say: Say) -> list[StallRow]:
    """Run all tools side by side, each before a stalling server of its own.

    Side by side saves minutes, and is fair here: what is measured are waits of a second.

    Raises:
        EnvironmentNotReadyError: a tool failed.
    """
    runs: dict[str, list[StallRun]] = {tool.name: [] for tool in tools}
    for repetition in range(extent.repetitions):
        say(f"stalling server {repetition + 1}/{extent.repetitions}: all tools side by side")
        with ThreadPoolExecutor(len(tools)) as pool:
            ends = [pool.submit(_stall_run, tool, extent, cores) for tool in tools]
            for tool, end in zip(tools, ends, strict=True):
                runs[tool.name].append(end.result())
    return [StallRow(name, tuple(each)) for name, each in runs.items()]


def _open_run(tool: Tool, rate_per_s: float, extent: Extent, cores: Cores) -> OpenRun:
    with _folder() as folder, arrival_server(cores.server) as server:
        job = Job(server.url, rate_per_s, extent.open_duration_s, Path(folder))
        cpu_s = _run(tool, job, cores)
        evenness = evenness_of(
            server.finish(),
            rate_per_s=rate_per_s,
            duration_s=extent.open_duration_s,
            skip_s=extent.skip_s,
        )
        timer = Surgeproof.timer(job) if isinstance(tool, Surgeproof) else None
    return OpenRun(evenness, cpu_s, timer)


def _stall_run(tool: Tool, extent: Extent, cores: Cores) -> StallRun:
    with _folder() as folder, arrival_server(cores.server, extent.stall) as server:
        job = Job(server.url, extent.stall_rate_per_s, extent.stall_duration_s, Path(folder))
        _run(tool, job, cores)
        reported = tool.reported(job)
        arrivals = server.finish()
    since_first = arrivals - arrivals[0]
    return StallRun(reported, len(arrivals), extent.stall.holds(since_first))


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="surgeproof-bench-")


def _run(tool: Tool, job: Job, cores: Cores) -> float:
    launch = tool.launch(job)
    return run_pinned(
        launch.command,
        core=cores.generator,
        environment=launch.environment,
        folder=job.folder,
        patience_s=job.duration_s + _PATIENCE_S,
        begin=launch.begin,
    )
