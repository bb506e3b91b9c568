"""Where the numbers come from: date, machine, Python build, versions."""

from __future__ import annotations

import os
import platform
import subprocess
import sysconfig
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["Machine", "describe_machine", "load_average"]

_PACKAGES = ("surgeproof", "locust", "gevent", "geventhttpclient", "uvloop")


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine at one moment; ``python_build`` says what changes Python's speed."""

    date: str
    system: str
    cores: int
    python: str
    python_build: str
    versions: dict[str, str]


def describe_machine(k6: Path | None) -> Machine:
    """Look at this machine; versions of what is not installed are left out."""
    versions: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    if k6 is not None:
        said = subprocess.run(
            [str(k6), "version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
        versions["k6"] = said.split()[1] if len(said.split()) > 1 else said.strip()
    return Machine(
        date=datetime.now(UTC).date().isoformat(),
        system=f"{platform.system()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        python_build=_python_build(),
        versions=versions,
    )


def load_average() -> float:
    """Return how many processes wanted a core over the last minute; our own are among them."""
    return os.getloadavg()[0]


def _python_build() -> str:
    settings = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    optimised = "profile-guided" if "--enable-optimizations" in settings else "not profile-guided"
    gil = "no GIL" if sysconfig.get_config_var("Py_GIL_DISABLED") else "GIL"
    return f"{optimised}, {gil}, {platform.python_compiler()}"
