"""Processes of a measurement: pinned to a core, with a deadline, and what they cost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.job import OUTPUT_FILE, Launch
from benchmarks.networks import SHARED, Network
from surgeproof.errors import EnvironmentNotReadyError

__all__ = ["Cores", "Footprint", "Usage", "last_words", "pinned", "run_pinned"]

_POLL_S = 0.02
# Often enough for the CPU of a window of seconds, seldom enough to cost nothing.
_LOOK_S = 0.2
_LOG = "stderr.txt"
_LOG_TAIL, _LOG_TAIL_BYTES = 15, 8192
# What a tool that was told to end may take.
_STOP_S = 8.0


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


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process and its children had used at a moment of CLOCK_MONOTONIC."""

    t_s: float
    cpu_s: float
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run cost: ``cpu_s`` of all its processes, start-up included."""

    cpu_s: float
    wall_s: float
    footprints: tuple[Footprint, ...]

    def cpu_ratio(self, from_s: float, to_s: float) -> float | None:
        """Return the share of one core that was used in a stretch of CLOCK_MONOTONIC.

        None if the run was not watched that long.
        """
        seen = [each for each in self.footprints if from_s - _LOOK_S <= each.t_s <= to_s + _LOOK_S]
        if len(seen) < 2 or to_s - from_s < _LOOK_S:
            return None
        moments = np.array([each.t_s for each in seen])
        used = np.array([each.cpu_s for each in seen])
        begin, end = max(from_s, seen[0].t_s), min(to_s, seen[-1].t_s)
        if end <= begin:
            return None
        spent = np.interp(end, moments, used) - np.interp(begin, moments, used)
        return float(spent / (end - begin))


def pinned(command: Sequence[str], core: int | None) -> list[str]:
    """Return a command that runs on one core."""
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


def run_pinned(
    launch: Launch,
    *,
    core: int | None,
    folder: Path,
    patience_s: float,
    network: Network = SHARED,
) -> Usage:
    """Run a command to its end; its output goes to files of ``folder``.

    Raises:
        EnvironmentNotReadyError: it failed, or did not end within ``patience_s``; the message
            holds the end of its log. One that was told to end may say what it likes.
    """
    began = time.monotonic()
    with contextlib.ExitStack() as running:
        output = running.enter_context((folder / OUTPUT_FILE).open("wb"))
        errors = running.enter_context((folder / _LOG).open("ab"))
        processes: list[subprocess.Popen[bytes]] = []
        for command, environment in ((launch.command, launch.environment), *launch.companions):
            process = subprocess.Popen(
                network.placed(pinned(command, core)),
                cwd=launch.directory or folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output if not processes else errors,
                stderr=errors,
                start_new_session=True,
            )
            processes.append(process)
            running.callback(_end, process)
        main = processes[0]
        if launch.begin is not None:
            launch.begin(lambda: _is_running(main))
        stop_at = None
        if launch.stop_after_s is not None:
            stop_at = time.monotonic() + launch.stop_after_s
        watch = _Watch(processes, launch.command[0])
        cpu_s = watch.to_the_end(time.monotonic() + patience_s, stop_at)
    if main.returncode != 0 and launch.stop_after_s is None:
        command_line, code = " ".join(launch.command), main.returncode
        raise EnvironmentNotReadyError(f"{command_line} ended with {code}: {last_words(folder)}")
    return Usage(cpu_s, time.monotonic() - began, tuple(watch.footprints))


def last_words(folder: Path) -> str:
    """Return the end of what a run in this folder printed on its standard error."""
    with (folder / _LOG).open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
        lines = log.read().decode("utf-8", "replace").splitlines()
    return "\n    ".join(lines[-_LOG_TAIL:])


class _Watch:
    """Follows a tool's processes until all have ended; the first is told when to stop."""

    def __init__(self, processes: Sequence[subprocess.Popen[bytes]], name: str) -> None:
        self._main = processes[0]
        self._left = list(processes)
        self._name = name
        self._cpu_s = 0.0
        self.footprints: list[Footprint] = []

    def to_the_end(self, deadline: float, stop_at: float | None) -> float:
        """Reap the processes and return their CPU seconds, which `Popen.wait` would throw away."""
        next_look, is_over = 0.0, False
        while True:
            self._reap()
            if not self._left:
                return self._cpu_s
            now = time.monotonic()
            if self._main.returncode is not None and not is_over:
                is_over, stop_at, deadline = True, None, now + _STOP_S  # companions end with it
            if stop_at is not None and now > stop_at:
                os.kill(self._main.pid, signal.SIGTERM)
                stop_at, deadline = None, now + _STOP_S
            if now > deadline:
                raise EnvironmentNotReadyError(f"{self._name} did not end in time")
            if now >= next_look:
                self._look(now)
                next_look = now + _LOOK_S
            time.sleep(_POLL_S)

    def _reap(self) -> None:
        for process in list(self._left):
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                self._cpu_s += usage.ru_utime + usage.ru_stime
                self._left.remove(process)

    def _look(self, now: float) -> None:
        cpu_s, resident = 0.0, 0
        try:
            for process in self._left:
                whole = psutil.Process(process.pid)
                for each in (whole, *whole.children(recursive=True)):
                    times = each.cpu_times()
                    cpu_s += times.user + times.system
                    resident += each.memory_info().rss
        except psutil.Error:
            return  # it is ending right now: what it used by then is known
        if self._main in self._left:
            self.footprints.append(Footprint(now, cpu_s, resident))


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        # The group, for a tool may have children; it is led by what was started here.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a process runs, without reaping it: its usage is still to be read."""
    state = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return state is None
