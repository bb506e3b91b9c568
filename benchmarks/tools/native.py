"""wrk, hey, oha and vegeta: programs that are told everything on their command line."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.job import Job, Launch, peer_environment
from benchmarks.stall import ResponseTimes
from surgeproof.errors import EnvironmentNotReadyError

__all__ = ["Hey", "Oha", "Vegeta", "Wrk", "or_raise"]

_REPORT_S = 30.0


@dataclass(frozen=True, slots=True)
class Wrk:
    """wrk with one thread; it knows the closed loop only."""

    binary: Path
    name: str = "wrk"

    def launch(self, job: Job) -> Launch:
        command = [
            *(str(self.binary), "-t1", f"-c{job.users}", f"-d{job.duration_s:g}s", f"{job.url}/")
        ]
        return Launch(command, peer_environment())


@dataclass(frozen=True, slots=True)
class Hey:
    """hey; a rate is shared out to its workers, each of which waits for its answers."""

    binary: Path
    name: str = "hey"

    def launch(self, job: Job) -> Launch:
        rate = [] if job.rate_per_s is None else ["-q", f"{job.rate_per_s / job.users:g}"]
        command = [
            *(str(self.binary), "-z", f"{job.duration_s:g}s", "-c", str(job.users)),
            *(*rate, f"{job.url}/"),
        ]
        return Launch(command, peer_environment())

    def reported(self, job: Job) -> ResponseTimes:
        """Read hey's summary: seconds, in four digits after the point."""
        output = job.output()

        def seconds(pattern: str) -> float:
            match = re.search(pattern, output)
            if match is None:
                raise EnvironmentNotReadyError(f"{self.name} reports no {pattern!r}")
            return float(match[1])

        return ResponseTimes(
            sent=or_raise(
                self.name, sum(map(int, re.findall(r"\[\d+\]\s+(\d+) responses", output)))
            ),
            p50_s=seconds(r"50% in ([\d.]+) secs"),
            p90_s=seconds(r"90% in ([\d.]+) secs"),
            p99_s=seconds(r"99% in ([\d.]+) secs"),
            max_s=seconds(r"Slowest:\s+([\d.]+) secs"),
        )


@dataclass(frozen=True, slots=True)
class Oha:
    """oha; ``users`` are its connections."""

    binary: Path
    name: str = "oha"

    def launch(self, job: Job) -> Launch:
        # With a rate the last answers are waited for: those of a stall are what it is about.
        rate = [] if job.rate_per_s is None else ["-q", f"{job.rate_per_s:g}", "-w"]
        command = [
            *(str(self.binary), "--no-tui", "--output-format", "json", "-c", str(job.users)),
            *("-z", f"{job.duration_s:g}s", *rate, f"{job.url}/"),
        ]
        return Launch(command, peer_environment())

    def reported(self, job: Job) -> ResponseTimes:
        """Read oha's JSON: seconds."""
        data = json.loads(job.output())
        took = data["latencyPercentiles"]
        return ResponseTimes(
            sent=or_raise(self.name, sum(data["statusCodeDistribution"].values())),
            p50_s=took["p50"],
            p90_s=took["p90"],
            p99_s=took["p99"],
            max_s=data["summary"]["slowest"],
        )


@dataclass(frozen=True, slots=True)
class Vegeta:
    """vegeta; with ``is_bounded`` its workers and connections are limited to ``users``."""

    binary: Path
    name: str = "vegeta"
    is_bounded: bool = False

    def launch(self, job: Job) -> Launch:
        targets = job.folder / "targets"
        targets.write_text(f"GET {job.url}/\n", encoding="ascii")
        command = [
            *(str(self.binary), "attack", "-targets", str(targets), "-output", str(_hits(job))),
            *("-duration", f"{job.duration_s:g}s"),
            *("-rate", "0" if job.rate_per_s is None else f"{job.rate_per_s:g}"),
        ]
        if job.rate_per_s is None:
            command += ["-max-workers", str(job.users)]
        elif self.is_bounded:
            command += ["-max-workers", str(job.users), "-connections", str(job.users)]
        return Launch(command, peer_environment())

    def reported(self, job: Job) -> ResponseTimes:
        """Have vegeta report on its own file of hits."""
        said = subprocess.run(
            [str(self.binary), "report", "-type", "json", str(_hits(job))],
            capture_output=True,
            timeout=_REPORT_S,
            check=True,
        ).stdout
        data = json.loads(said)
        took = data["latencies"]
        return ResponseTimes(
            sent=or_raise(self.name, int(data["requests"])),
            p50_s=took["50th"] / 1e9,
            p90_s=took["90th"] / 1e9,
            p99_s=took["99th"] / 1e9,
            max_s=took["max"] / 1e9,
        )


def _hits(job: Job) -> Path:
    return job.folder / "hits.bin"


def or_raise(name: str, sent: int) -> int:
    """Return the number of requests that a tool reports.

    Raises:
        EnvironmentNotReadyError: it is none.
    """
    if not sent:
        raise EnvironmentNotReadyError(f"{name} reports no request at all")
    return sent
