"""Locust's own users, paced as its documentation shows."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.job import Job, Launch, peer_environment
from benchmarks.stall import ResponseTimes
from benchmarks.tools.native import or_raise

__all__ = ["LocustPeer"]

_SOURCES = Path(__file__).resolve().parents[1] / "sources"


@dataclass(frozen=True, slots=True)
class LocustPeer:
    """``FastHttpUser`` or ``HttpUser``; a rate is shared out to the users."""

    kind: str
    name: str

    def launch(self, job: Job) -> Launch:
        command = [
            *(sys.executable, "-m", "locust", "-f", str(_SOURCES / "locust_peers.py")),
            *("--headless", "--only-summary", "--json", "--exit-code-on-error", "0"),
            # All users at once: Locust would spread them by whole seconds only.
            *("--users", str(job.users), "--spawn-rate", str(job.users)),
            *("--run-time", f"{job.duration_s:g}s", "--host", job.url),
        ]
        settings = {"BENCHMARK_USER": self.kind, "BENCHMARK_WORK": job.work.value}
        if job.rate_per_s is not None:
            settings["BENCHMARK_RATE_PER_USER"] = f"{job.rate_per_s / job.users:g}"
        return Launch(command, peer_environment(settings))

    def reported(self, job: Job) -> ResponseTimes:
        """Read Locust's own statistics: milliseconds, rounded to two digits, and their counts."""
        output = job.output()
        entries = json.loads(output[output.index("[") :])
        counts: dict[float, int] = {}
        for entry in entries:
            for milliseconds, count in entry["response_times"].items():
                key = float(milliseconds)
                counts[key] = counts.get(key, 0) + int(count)
        sent = or_raise(self.name, sum(counts.values()))

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
