"""k6 and k9, whose scenarios, executors and summaries have one form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.job import Job, Launch, peer_environment
from benchmarks.stall import ResponseTimes
from benchmarks.tools.native import or_raise

__all__ = ["K6", "K9Plan", "K9Script", "options"]

_SOURCES = Path(__file__).resolve().parents[1] / "sources"


@dataclass(frozen=True, slots=True)
class K6:
    """k6: ``constant-vus`` for the closed loop, else ``constant-arrival-rate``."""

    binary: Path
    name: str = "k6"

    def launch(self, job: Job) -> Launch:
        command = [
            *(str(self.binary), "run", "--quiet", "--no-usage-report", "--no-color"),
            *("--address", "", "--summary-export", str(_summary(job)), str(_SOURCES / "k6.js")),
        ]
        return Launch(command, _environment(job))

    def reported(self, job: Job) -> ResponseTimes:
        """Read k6's own summary of ``http_req_duration``."""
        return _reported(self.name, job)


@dataclass(frozen=True, slots=True)
class K9Plan:
    """k9 with a declarative plan: its Rust engine alone. It sends the GET only."""

    binary: Path
    name: str = "k9 plan"

    def launch(self, job: Job) -> Launch:
        plan = job.folder / "plan.json"
        flows = {"default": [{"request": {"url": f"{job.url}/"}}]}
        plan.write_text(json.dumps({"options": options(job), "flows": flows}), encoding="utf-8")
        return Launch(_k9(self.binary, job, plan), peer_environment())

    def reported(self, job: Job) -> ResponseTimes:
        """Read k9's own summary of ``http_req_duration``."""
        return _reported(self.name, job)


@dataclass(frozen=True, slots=True)
class K9Script:
    """k9 with a Python coroutine for each iteration."""

    binary: Path
    name: str = "k9 script"

    def launch(self, job: Job) -> Launch:
        return Launch(_k9(self.binary, job, _SOURCES / "k9_script.py"), _environment(job))

    def reported(self, job: Job) -> ResponseTimes:
        """Read k9's own summary of ``http_req_duration``."""
        return _reported(self.name, job)


def options(job: Job) -> dict[str, object]:
    """Return the options of a script for a job, in k6's words."""
    duration = f"{job.duration_s:g}s"
    scenario: dict[str, object] = {
        "executor": "constant-vus",
        "vus": job.users,
        "duration": duration,
    }
    if job.rate_per_s is not None:
        scenario = {
            "executor": "constant-arrival-rate",
            "rate": round(job.rate_per_s),
            "timeUnit": "1s",
            "duration": duration,
            "preAllocatedVUs": job.users,
            "maxVUs": job.users,
        }
    trend = ["med", "p(90)", "p(99)", "max"]
    return {"scenarios": {"bench": scenario}, "summaryTrendStats": trend}


def _environment(job: Job) -> dict[str, str]:
    settings = {
        "BENCHMARK_URL": job.url,
        "BENCHMARK_OPTIONS": json.dumps(options(job)),
        "BENCHMARK_WORK": job.work.value,
    }
    return peer_environment(settings)


def _k9(binary: Path, job: Job, source: Path) -> list[str]:
    command = [str(binary), "run", "--quiet", "--no-color"]
    return [*command, "--summary-export", str(_summary(job)), str(source)]


def _summary(job: Job) -> Path:
    return job.folder / "summary.json"


def _reported(name: str, job: Job) -> ResponseTimes:
    metrics = json.loads(_summary(job).read_text(encoding="utf-8"))["metrics"]
    took = metrics["http_req_duration"]
    return ResponseTimes(
        sent=or_raise(name, int(metrics["http_reqs"]["count"])),
        p50_s=took["med"] / 1e3,
        p90_s=took["p(90)"] / 1e3,
        p99_s=took["p(99)"] / 1e3,
        max_s=took["max"] / 1e3,
    )
