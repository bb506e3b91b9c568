"""Where the numbers come from: date, machine, Python build, versions, timer."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import sysconfig
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import uvloop

from surgeproof.load.alarm import make_alarm

__all__ = ["Machine", "describe_machine", "load_average"]

_PACKAGES = ("surgeproof", "locust", "gevent", "geventhttpclient", "uvloop", "httptools")
_PROCESSOR = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine at one moment; ``python_build`` says what changes Python's speed.

    ``timer`` is what wakes the engine's loop here; ``peers`` holds their versions.
    """

    date: str
    system: str
    processor: str
    cores: int
    python: str
    python_build: str
    timer: str
    versions: dict[str, str]
    peers: dict[str, str]


def describe_machine(peers: Mapping[str, str]) -> Machine:
    """Look at this machine; versions of what is not installed are left out."""
    versions: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return Machine(
        date=datetime.now(UTC).isoformat(timespec="minutes"),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        python_build=_python_build(),
        timer=_timer(),
        versions=versions,
        peers=dict(peers),
    )


def load_average() -> float:
    """Return how many processes wanted a core over the last minute; our own are among them."""
    return os.getloadavg()[0]


def _timer() -> str:
    """Return which alarm the engine gets here: the very call that it makes, on such a loop."""
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    try:
        alarm = make_alarm(loop, lambda: None, time.monotonic)
        name = alarm.name
        alarm.close()
    finally:
        loop.close()
    return str(name)


def _processor() -> str:
    try:
        lines = _PROCESSOR.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or "unknown")


def _python_build() -> str:
    settings = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    optimised = "PGO" if "--enable-optimizations" in settings else "no PGO"
    gil = "no GIL" if sysconfig.get_config_var("Py_GIL_DISABLED") else "GIL"
    debug = ", debug" if hasattr(sys, "gettotalrefcount") else ""
    return f"{optimised}, {gil}{debug}, {platform.python_compiler()}"
