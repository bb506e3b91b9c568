"""Processes of a measurement: pinned to a core, with a deadline, and what they cost."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.stall import Stall
from surgeproof.errors import EnvironmentNotReadyError

__all__ = ["OUTPUT_FILE", "ArrivalServer", "Cores", "arrival_server", "run_pinned"]

# Where in its folder the standard output of a pinned process is.
OUTPUT_FILE = "stdout.txt"

_ROOT = Path(__file__).resolve().parents[1]
_START_S = 30.0
_POLL_S = 0.02
_LOG_TAIL = 15


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core each side is pinned to; None where pinning is not possible."""

    generator: int | None
    server: int | None

    @classmethod
    def of_machine(cls) -> Cores:
        """Return the first two cores that this process may use, one for both if it has one."""
        if shutil.which("taskset") is None or not hasattr(os, "sched_getaffinity"):
            return cls(None, None)
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], cores[min(1, len(cores) - 1)])


class ArrivalServer:
    """The running `benchmarks.server`; its arrivals are known once `finish` was called."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        output = process.stdout
        if output is None or not select.select([output], [], [], _START_S)[0]:
            raise EnvironmentNotReadyError(f"the arrival server said no port in {_START_S:g} s")
        port = output.readline().strip()
        if not port.isdigit():
            raise EnvironmentNotReadyError(f"the arrival server said {port!r}, not a port")
        self.url = f"http://127.0.0.1:{port}"

    def finish(self) -> NDArray[np.float64]:
        """End the server and return its arrivals in seconds of CLOCK_MONOTONIC."""
        output, _ = self._process.communicate(timeout=_START_S)
        return np.array(json.loads(output), dtype=np.float64) / 1e9


@contextlib.contextmanager
def arrival_server(core: int | None, stall: Stall | None = None) -> Iterator[ArrivalServer]:
    """Run the arrival server in a process of its own for a while."""
    command = [sys.executable, "-m", "benchmarks.server"]
    if stall is not None:
        numbers = (stall.every_s, stall.length_s, stall.phase_s)
        command += ["--stall", *(f"{number:g}" for number in numbers)]
    process = subprocess.Popen(
        _pinned(command, core),
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield ArrivalServer(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def run_pinned(
    command: Sequence[str],
    *,
    core: int | None,
    environment: Mapping[str, str],
    folder: Path,
    patience_s: float,
    begin: Callable[[Callable[[], bool]], None] | None = None,
) -> float:
    """Run a command to its end and return the CPU seconds of it and its children.

    ``begin`` is called once it runs, with a function that says whether it still does.

    Raises:
        EnvironmentNotReadyError: it failed, or did not end within ``patience_s``; the message
            holds the end of its log.
    """
    log = folder / "stderr.txt"
    with (folder / OUTPUT_FILE).open("wb") as output, log.open("wb") as errors:
        process = subprocess.Popen(
            _pinned(command, core),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        try:
            if begin is not None:
                begin(lambda: _is_running(process))
            cpu_s = _wait(process, time.monotonic() + patience_s)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        tail = "\n    ".join(log.read_text("utf-8", "replace").splitlines()[-_LOG_TAIL:])
        code = process.returncode
        raise EnvironmentNotReadyError(f"{' '.join(command)} ended with {code}:\n    {tail}")
    return cpu_s


def _pinned(command: Sequence[str], core: int | None) -> list[str]:
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a process runs, without reaping it: its usage is still to be read."""
    state = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return state is None


def _wait(process: subprocess.Popen[bytes], deadline: float) -> float:
    """Reap a process and return its CPU seconds, which `Popen.wait` would throw away."""
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime
        if time.monotonic() > deadline:
            raise EnvironmentNotReadyError(f"{process.args!r} did not end in time")
        time.sleep(_POLL_S)
