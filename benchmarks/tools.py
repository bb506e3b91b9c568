"""The tools compared: how each is started for a job, and what it says afterwards."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmarks.pinned import OUTPUT_FILE
from benchmarks.stall import ResponseTimes
from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.journal.samples import read_samples
from surgeproof.load.handover import LoadOrder, ready_file, write_start
from surgeproof.load.locust_process import generator_environment, locust_command
from surgeproof.model.plan import ArrivalPart, Load, Phase

__all__ = ["K6", "FastHttp", "Job", "Launch", "Surgeproof", "Tool"]

_SOURCES = Path(__file__).resolve().parent / "sources"
_NAMES_OF_ALARMS = {"TimerAlarm": "timerfd", "LoopAlarm": "loop timer"}
# What is left between "prepared" and the first arrival.
_LEAD_S = 0.1
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Job:
    """One run: an even rate against a server. ``folder`` is the run's own, for scratch files.

    ``duration_s`` is a whole number, for Locust takes no other.
    """

    url: str
    rate_per_s: float
    duration_s: float
    folder: Path

    def output(self) -> str:
        """Return what the tool printed."""
        return (self.folder / OUTPUT_FILE).read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a tool; ``begin``, if any, lets it go once it is prepared."""

    command: Sequence[str]
    environment: Mapping[str, str]
    begin: Callable[[Callable[[], bool]], None] | None = None


class Tool(Protocol):
    """A load generator as a process that ends by itself."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def launch(self, job: Job) -> Launch:
        """Return how to start it for a job; may write to the job's folder."""
        ...

    def reported(self, job: Job) -> ResponseTimes:
        """Return what it reports of a job that has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Surgeproof:
    """Our `OpenLoopUser` in headless Locust, with its journal written, as under the harness."""

    name: str = "surgeproof"

    def launch(self, job: Job) -> Launch:
        order = self._order(job)
        path = job.folder / "load.json"
        path.write_text(order.to_json(), encoding="utf-8")
        samples = job.folder / "samples"
        samples.mkdir()

        def begin(is_running: Callable[[], bool]) -> None:
            while not ready_file(samples, order.generator).exists():
                if not is_running():
                    return  # whoever waits for its end says why
                time.sleep(_POLL_S)
            write_start(samples, time.monotonic() + _LEAD_S)

        environment = generator_environment(os.environ, path, {})
        return Launch(locust_command(order), environment, begin)

    def reported(self, job: Job) -> ResponseTimes:
        times_s = read_samples(job.folder / "samples").response_time_s
        _or_raise(self.name, len(times_s))
        # An attempt that never ended took longer than any that did.
        return ResponseTimes.of(np.where(np.isnan(times_s), np.inf, times_s))

    @staticmethod
    def timer(job: Job) -> str:
        """Return which timer woke the engine, from what the scenario printed."""
        alarm = job.output().partition("alarm: ")[2].partition("\n")[0].strip()
        return _NAMES_OF_ALARMS.get(alarm, alarm or "unknown")

    @staticmethod
    def _order(job: Job) -> LoadOrder:
        arrivals = ArrivalPart("constant", {"rate": job.rate_per_s})
        load = Load(
            file=_SOURCES / "open_loop.py",
            engine="locust",
            unit="request",
            phases=(Phase("even", 0.0, job.duration_s, (arrivals,)),),
            mixes={"default": {"GET /": 1.0}},
        )
        return LoadOrder(seed=1, base_url=job.url, load=load, samples=job.folder / "samples")


@dataclass(frozen=True, slots=True)
class FastHttp:
    """Locust's FastHttpUser with ``constant_throughput``; the rate is shared out to the users."""

    users: int
    name: str = "Locust FastHttpUser"

    def launch(self, job: Job) -> Launch:
        command = [
            *(sys.executable, "-m", "locust", "-f", str(_SOURCES / "fast_http.py")),
            *("--headless", "--only-summary", "--json", "--exit-code-on-error", "0"),
            # All users at once: Locust would spread them by whole seconds only.
            *("--users", str(self.users), "--spawn-rate", str(self.users)),
            *("--run-time", f"{job.duration_s:g}s", "--host", job.url),
        ]
        per_user = f"{job.rate_per_s / self.users:g}"
        return Launch(command, _environment({"BENCHMARK_RATE_PER_USER": per_user}))

    def reported(self, job: Job) -> ResponseTimes:
        """Read Locust's own statistics: milliseconds, rounded to two digits, and their counts."""
        output = job.output()
        entries = json.loads(output[output.index("[") :])
        counts: dict[float, int] = {}
        for entry in entries:
            for milliseconds, count in entry["response_times"].items():
                key = float(milliseconds)
                counts[key] = counts.get(key, 0) + int(count)
        sent = _or_raise(self.name, sum(counts.values()))

        def quantile_s(share: float) -> float:
            left = share * sent
            for milliseconds in sorted(counts):
                left -= counts[milliseconds]
                if left <= 0:
                    break
            return milliseconds / 1e3

        longest_ms = max(float(entry["max_response_time"]) for entry in entries)
        return ResponseTimes(
            sent, quantile_s(0.5), quantile_s(0.9), quantile_s(0.99), longest_ms / 1e3
        )


@dataclass(frozen=True, slots=True)
class K6:
    """k6's ``constant-arrival-rate`` with ``users`` virtual users allocated beforehand."""

    binary: Path
    users: int
    name: str = "k6"

    def launch(self, job: Job) -> Launch:
        command = [
            *(str(self.binary), "run", "--quiet", "--no-usage-report", "--no-color"),
            *("--address", "", "--summary-export", str(job.folder / "summary.json")),
            str(_SOURCES / "constant_rate.js"),
        ]
        settings = {
            "BENCHMARK_URL": job.url,
            "BENCHMARK_RATE": f"{job.rate_per_s:g}",
            "BENCHMARK_DURATION": f"{job.duration_s:g}s",
            "BENCHMARK_USERS": str(self.users),
        }
        return Launch(command, _environment(settings))

    def reported(self, job: Job) -> ResponseTimes:
        """Read k6's own summary of ``http_req_duration``."""
        metrics = json.loads((job.folder / "summary.json").read_text(encoding="utf-8"))["metrics"]
        took = metrics["http_req_duration"]
        return ResponseTimes(
            sent=_or_raise(self.name, int(metrics["http_reqs"]["count"])),
            p50_s=took["med"] / 1e3,
            p90_s=took["p(90)"] / 1e3,
            p99_s=took["p(99)"] / 1e3,
            max_s=took["max"] / 1e3,
        )


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without settings of the tools, and with ``settings``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LOCUST_", "K6_", "SURGEPROOF_"))
    }
    return {**kept, **settings}


def _or_raise(name: str, sent: int) -> int:
    if not sent:
        raise EnvironmentNotReadyError(f"{name} reports no request at all")
    return sent
