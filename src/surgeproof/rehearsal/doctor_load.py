"""How much this machine can send: a short real measurement against a bare server of our own.

The generator is the one that rehearsals use, journal and all, on one core; the server has
another core where there is one. A target that answers later, or with more, costs a generator
more for each request: what is found here is the most to be had, not what a plan gets.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from surgeproof.clock import Clock, SystemClock
from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.journal.samples import read_drops, read_samples
from surgeproof.load.handover import LoadOrder, ready_file, write_start
from surgeproof.load.locust_process import generator_environment, locust_command
from surgeproof.load.schedule import build_schedule
from surgeproof.load.vitals import ports_limit
from surgeproof.load.yardstick import JOURNEY, REQUEST, SCENARIO
from surgeproof.model.plan import ArrivalPart, Load, Phase, Plan, Timeouts, Window
from surgeproof.model.samples import Samples
from surgeproof.observe.processor_time import processor_times
from surgeproof.slo.health import MOST_DROPPED_RATIO
from surgeproof.slo.quantiles import quantile
from surgeproof.slo.select import window_mask

__all__ = ["Capacity", "LoadCapacity", "Step", "fits", "judge_steps", "measure", "print_capacity"]

# As many arrivals at once as a fast core needs half a second for, and a slow one a few.
_BURST = 60_000
_BURST_S = 0.5
# A closed loop of as many connections as the usual benchmarks of HTTP clients have.
_BURST_CONNECTIONS = 50
# Shares of the ceiling that are tried as a schedule, each for long enough for 99 % of something.
_SHARES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
_STEP_S = 0.6
# Between them the generator may catch up, or a step would pay for the one before.
_PAUSE_S = 0.3
_PAUSE_SHARE = 0.01
# An arrival is late after this: the default of a plan's load.late_after.
_LATE_AFTER_S = 0.01
_TIMEOUTS = Timeouts(5.0, 60.0, 60.0)
_PATIENCE_S = 60.0
_LOOK_S = 0.02
_LEAD_S = 0.3
# Beyond this share of its core the server is what limits, and the generator could send more.
_SERVER_FULL_RATIO = 0.9


@dataclass(frozen=True, slots=True)
class Step:
    """One rate tried as a schedule: how late 99 % of arrivals were at most, and how many fell."""

    rate_per_s: float
    lag_p99_s: float
    dropped: int

    @property
    def is_held(self) -> bool:
        """99 % of arrivals within 10 ms of their moment, and hardly any dropped."""
        fair = MOST_DROPPED_RATIO * self.rate_per_s * _STEP_S
        return self.lag_p99_s <= _LATE_AFTER_S and self.dropped <= fair


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one generator process can send of one kind of journey.

    ``ceiling_per_s`` is the closed loop's rate, ``held_per_s`` the highest rate that a schedule
    could have (None: not even the lowest that was tried).
    """

    ceiling_per_s: float
    held_per_s: float | None
    is_server_full: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class LoadCapacity:
    """What this machine can send, and within which limits."""

    requests: Capacity
    journeys: Capacity
    cores: int
    is_server_apart: bool
    files_limit: int | None
    ports_limit: int | None


def measure(environ: Mapping[str, str] | None = None, clock: Clock | None = None) -> LoadCapacity:
    """Measure for 15 to 30 seconds; nothing stays behind.

    Raises:
        EnvironmentNotReadyError: the server or the generator does not start or end; with its
            last lines.
    """
    cores = sorted(os.sched_getaffinity(0))
    bench = _Bench(dict(os.environ if environ is None else environ), clock or SystemClock(), cores)
    with bench.server():
        requests, journeys = bench.capacity(REQUEST), bench.capacity(JOURNEY)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return LoadCapacity(
        requests=requests,
        journeys=journeys,
        cores=len(cores),
        is_server_apart=len(cores) > 1,
        files_limit=None if soft == resource.RLIM_INFINITY else soft,
        ports_limit=ports_limit(),
    )


def fits(plan: Plan, found: LoadCapacity) -> tuple[bool, str]:
    """Return whether a plan's busiest second is within what its workers can hold, and in words.

    Its journeys are taken to be as cheap as the ones measured: no promise, but a bound.
    """
    counts = np.bincount(build_schedule(plan.load, plan.seed).times_s.astype(np.int64))
    peak = int(counts.max(initial=0))
    workers = min(plan.load.workers, found.cores)
    held = (found.journeys.held_per_s or 0.0) * workers
    who = "1 worker" if workers == 1 else f"{workers} workers"
    text = f"{plan.file} asks for up to {peak:,} arrivals/s, {who} can hold {held:,.0f} at most"
    return peak <= held, text


def judge_steps(
    samples: Samples, drops_s: np.ndarray[tuple[int], np.dtype[np.float64]], phases: Sequence[Phase]
) -> tuple[Step, ...]:
    """Return one step per phase that is one, by the arrivals that were intended in it."""
    steps = []
    for phase in phases:
        if phase.name.startswith("pause"):
            continue
        window = Window(phase.name, phase.start_s, phase.start_s + phase.duration_s)
        rows = samples.take(window_mask(samples, window))
        lag_s = np.where(np.isnan(rows.start_s), np.inf, rows.start_s - rows.intended_s)
        dropped = int(((drops_s >= window.start_s) & (drops_s < window.end_s)).sum())
        lag_p99_s = quantile(lag_s, 0.99) if len(lag_s) else float("inf")
        steps.append(Step(phase.arrivals[0].parameters["rate"], lag_p99_s, dropped))
    return tuple(steps)


def print_capacity(found: LoadCapacity, plan_words: str | None, *, as_json: bool) -> None:
    """Print what was measured to stdout, for people or as JSON."""
    if as_json:
        print(json.dumps(_json(found, plan_words), indent=2, allow_nan=False))
        return
    for title, capacity in (
        ("declared requests", found.requests),
        ("journeys in Python", found.journeys),
    ):
        at_least = "at least " if capacity.is_server_full else ""
        held = capacity.held_per_s
        on_time = (
            f"on schedule {held:,.0f}/s"
            if held is not None
            else f"not even {capacity.steps[0].rate_per_s:,.0f}/s on schedule"
        )
        print(f"{title}: {at_least}{capacity.ceiling_per_s:,.0f}/s closed loop, {on_time}")
        if capacity.is_server_full:
            print("      the bare server used up its core: the generator could do more")
    print(f"      on schedule: 99 % of arrivals within {_LATE_AFTER_S * 1e3:.0f} ms, one generator")
    print(f"cores: {found.cores}: load.workers adds as many generators, each wants its own core")
    if not found.is_server_apart:
        print("      server and generator had to share the one core: with two it is more")
    print(f"open files: {_limit(found.files_limit)}: fewer connections than that at a time")
    print(f"local ports: {_limit(found.ports_limit)}: as many connections to one address at most")
    if plan_words is not None:
        print(f"plan: {plan_words}")


def _limit(limit: int | None) -> str:
    return "no limit known" if limit is None else f"{limit:,}"


def _json(found: LoadCapacity, plan_words: str | None) -> dict[str, object]:
    data = asdict(found)
    for name, capacity in (("requests", found.requests), ("journeys", found.journeys)):
        data[name]["steps"] = [
            {
                "rate_per_s": step.rate_per_s,
                "lag_p99_s": step.lag_p99_s if np.isfinite(step.lag_p99_s) else None,
                "dropped": step.dropped,
                "is_held": step.is_held,
            }
            for step in capacity.steps
        ]
    return data if plan_words is None else {**data, "plan": plan_words}


class _Bench:
    """The bare server, and one generator after another against it."""

    def __init__(self, environ: dict[str, str], clock: Clock, cores: Sequence[int]) -> None:
        self._environ, self._clock = environ, clock
        # The first and the last: neighbours may be two threads of one core.
        self._own, self._server_core = cores[0], cores[-1]
        self._server: subprocess.Popen[str] | None = None
        self._port = 0

    @contextlib.contextmanager
    def server(self) -> Iterator[None]:
        """Have the server up for a while."""
        process = subprocess.Popen(
            [sys.executable, "-m", "surgeproof.load.yardstick.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environ,
        )
        try:
            os.sched_setaffinity(process.pid, {self._server_core})
            line = process.stdout.readline() if process.stdout is not None else ""
            if not line.strip().isdigit():
                raise EnvironmentNotReadyError("the bare server did not start")
            self._server, self._port = process, int(line)
            yield
        finally:
            self._server = None
            process.kill()
            process.communicate(timeout=_PATIENCE_S)

    def capacity(self, journey: str) -> Capacity:
        """Measure the ceiling, then a ladder of schedules below it."""
        burst = _phases([("burst", _BURST / _BURST_S, _BURST_S)])
        used_s = self._server_cpu_s()
        samples, _ = self._drive(journey, burst, _BURST_CONNECTIONS, _BURST + 1)
        ends_s = np.sort(samples.end_s[~np.isnan(samples.end_s)])
        if len(ends_s) < _BURST // 2:
            raise EnvironmentNotReadyError(
                f"only {len(ends_s)} of {_BURST} requests to the bare server were answered"
            )
        used_s = self._server_cpu_s() - used_s
        # The first and the last tenth have a loop that is not full yet, or no longer.
        tenth = len(ends_s) // 10
        ceiling = (len(ends_s) - 2 * tenth) / float(ends_s[-tenth - 1] - ends_s[tenth])
        is_full = used_s / float(ends_s[-1] - ends_s[0]) > _SERVER_FULL_RATIO
        phases = _ladder(ceiling)
        defaults = Load(SCENARIO, "locust", "request", (), {})
        samples, drops_s = self._drive(
            journey, phases, defaults.connections, defaults.max_in_flight
        )
        steps = judge_steps(samples, drops_s, phases)
        held = max((step.rate_per_s for step in steps if step.is_held), default=None)
        return Capacity(round(ceiling, 1), held, is_full, steps)

    def _drive(
        self, journey: str, phases: tuple[Phase, ...], connections: int, max_in_flight: int
    ) -> tuple[Samples, np.ndarray[tuple[int], np.dtype[np.float64]]]:
        """Run one generator to its end; return its samples and the moments of what it dropped."""
        with tempfile.TemporaryDirectory(prefix="surgeproof-doctor-") as name:
            folder = Path(name)
            load = Load(
                file=SCENARIO,
                engine="locust",
                unit="request",
                phases=phases,
                mixes={"default": {journey: 1.0}},
                connections=connections,
                max_in_flight=max_in_flight,
                timeouts=_TIMEOUTS,
            )
            order = LoadOrder(1, f"http://127.0.0.1:{self._port}", load, samples=folder)
            order_path = folder / "load.json"
            order_path.write_text(order.to_json(), encoding="utf-8")
            log = folder / "generator.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    locust_command(order),
                    env=generator_environment(self._environ, order_path, {}),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                try:
                    os.sched_setaffinity(process.pid, {self._own})
                    self._wait_until_ready(process, ready_file(folder, 0), log)
                    write_start(folder, self._clock.monotonic() + _LEAD_S)
                    code = process.wait(_PATIENCE_S)
                except subprocess.TimeoutExpired as error:
                    message = f"the generator took longer than {_PATIENCE_S:.0f} s"
                    raise EnvironmentNotReadyError(message) from error
                finally:
                    if process.poll() is None:
                        os.killpg(process.pid, signal.SIGKILL)
                        process.wait(_PATIENCE_S)
            if code != 0:
                raise EnvironmentNotReadyError(f"the generator ended with {code}{_tail(log)}")
            return read_samples(folder), read_drops(folder).intended_s

    def _wait_until_ready(self, process: subprocess.Popen[bytes], ready: Path, log: Path) -> None:
        deadline = self._clock.monotonic() + _PATIENCE_S
        while not ready.exists():
            if process.poll() is not None or self._clock.monotonic() > deadline:
                raise EnvironmentNotReadyError(f"the generator did not get ready{_tail(log)}")
            self._clock.sleep(_LOOK_S)

    def _server_cpu_s(self) -> float:
        if self._server is None:
            return 0.0
        return processor_times([("server", self._server.pid)]).get("server", 0.0)


def _ladder(ceiling_per_s: float) -> tuple[Phase, ...]:
    parts = []
    for number, share in enumerate(_SHARES):
        parts.append((f"pause {number}", ceiling_per_s * _PAUSE_SHARE, _PAUSE_S))
        parts.append((f"step {number}", ceiling_per_s * share, _STEP_S))
    return _phases(parts)


def _phases(parts: Sequence[tuple[str, float, float]]) -> tuple[Phase, ...]:
    made, start_s = [], 0.0
    for name, rate, duration_s in parts:
        arrivals = (ArrivalPart("constant", {"rate": round(rate, 1)}),)
        made.append(Phase(name, start_s, duration_s, arrivals))
        start_s += duration_s
    return tuple(made)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
    return "".join(f"\n    {line}" for line in lines)
