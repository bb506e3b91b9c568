"""The load generator as the harness sees it: a process to start, watch and end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from surgeproof.clock import Clock
from surgeproof.errors import EnvironmentNotReadyError, TargetNotReadyError
from surgeproof.journal.folder import RunFolder
from surgeproof.load.handover import ready_file, write_start

__all__ = [
    "Generator",
    "LoadProcess",
    "ProcessWrapper",
    "Pulse",
    "PulseSource",
    "PulseTail",
    "last_lines",
    "run_to_end",
]

_POLL_S = 0.02
# A generator told to end stops sending, flushes and exits within 3 s.
_GRACE_S = 4.0
_TAIL_LINES = 15


class PulseSource(Protocol):
    """Has what the load's pulse said since the last look."""

    def read(self) -> list[Pulse]: ...


class LoadProcess(Protocol):
    """What drives a rehearsal's load, be it one process or several."""

    @property
    def pulses(self) -> PulseSource: ...

    @property
    def log_path(self) -> Path: ...

    @property
    def label(self) -> int | str:
        """What events call it: a generator's number, or ``master``."""
        ...

    def wait_until_ready(self, timeout_s: float) -> None: ...

    def announce_start(self, t0: float) -> None: ...

    def happenings(self) -> list[tuple[str, dict[str, object]]]:
        """Return the events (name, fields) of its processes since the last call."""
        ...

    def poll(self) -> int | None: ...

    def stop(self) -> None: ...


class ProcessWrapper(Protocol):
    """Makes a command register itself with the guardian before it becomes the program."""

    def wrap(self, command: Sequence[str], name: str) -> list[str]: ...

    def gone(self, pid: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Pulse:
    """One line of a generator's pulse; counts are cumulative since t0."""

    t_s: float
    scheduled: int
    sent: int
    completed: int
    dropped: int
    requests: int
    errors: int
    in_flight: int
    p99_s: float | None
    cpu_ratio: float | None
    loop_lag_p99_s: float | None
    is_end: bool


class PulseTail:
    """Reads the lines that a pulse file gained since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def read(self) -> list[Pulse]:
        """Return the new whole lines, oldest first (none while there is no file)."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        self._position += whole
        return [_pulse(json.loads(line)) for line in data[:whole].splitlines()]


def _pulse(line: Mapping[str, object]) -> Pulse:
    def count(key: str) -> int:
        value = line.get(key)
        return int(value) if isinstance(value, int | float) else 0

    def number(key: str) -> float | None:
        value = line.get(key)
        return float(value) if isinstance(value, int | float) else None

    return Pulse(
        t_s=number("t_s") or 0.0,
        scheduled=count("scheduled"),
        sent=count("sent"),
        completed=count("completed"),
        dropped=count("dropped"),
        requests=count("requests"),
        errors=count("errors"),
        in_flight=count("in_flight"),
        p99_s=number("p99_s"),
        cpu_ratio=number("cpu_ratio"),
        loop_lag_p99_s=number("loop_lag_p99_s"),
        is_end=bool(line.get("end")),
    )


class Generator:
    """One generator process, from its start to its end."""

    def __init__(
        self,
        folder: RunFolder,
        wrapper: ProcessWrapper,
        clock: Clock,
        *,
        number: int = 0,
        name: str | None = None,
    ) -> None:
        self._name = name or f"generator-{number}"
        self._folder = folder
        self._wrapper = wrapper
        self._clock = clock
        self._number = number
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._happened: list[tuple[str, dict[str, object]]] = []
        self.pulses = PulseTail(folder.samples / f"pulse-{number}.jsonl")

    @property
    def log_path(self) -> Path:
        return self._folder.logs / f"{self._name}.log"

    @property
    def label(self) -> int | str:
        return self._number

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the process; it prepares and then waits to be told t0."""
        self._log = self.log_path.open("ab")
        self._process = subprocess.Popen(
            self._wrapper.wrap(command, self._name),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            # A Ctrl-C on the terminal is for the harness, which ends the generator in order.
            start_new_session=True,
        )

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until the generator is prepared (users logged in, data fetched).

        Raises:
            TargetNotReadyError: it died or took too long; with its last log lines.
        """
        if not self.is_ready(timeout_s):
            message = f"the generator was not prepared within {timeout_s:.0f} s"
            raise TargetNotReadyError(message, last_lines(self.log_path))

    def is_ready(self, patience_s: float) -> bool:
        """Tell whether the generator is prepared, waiting for it for a while.

        Raises:
            TargetNotReadyError: it died; with its last log lines.
        """
        deadline = self._clock.monotonic() + patience_s
        ready = ready_file(self._folder.samples, self._number)
        while not ready.exists():
            code = self.poll()
            if code is not None:
                message = f"the generator ended with {code} before it was prepared"
                raise TargetNotReadyError(message, last_lines(self.log_path))
            if self._clock.monotonic() > deadline:
                return False
            self._clock.sleep(_POLL_S)
        return True

    def announce_start(self, t0: float) -> None:
        """Tell the prepared generator when t0 is, in seconds on CLOCK_MONOTONIC."""
        write_start(self._folder.samples, t0)
        started: dict[str, object] = {"generator": self._number, "pid": self.pid}
        self._happened.append(("generator.started", started))

    def happenings(self) -> list[tuple[str, dict[str, object]]]:
        """Return the events of the process since the last call: its start."""
        happened, self._happened = self._happened, []
        return happened

    def poll(self) -> int | None:
        """Return the exit code, None while the process runs."""
        return None if self._process is None else self._process.poll()

    def stop(self) -> None:
        """End the process if it still runs, and wait for it; idempotent."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            _signal_group(process.pid, signal.SIGTERM)
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                _signal_group(process.pid, signal.SIGKILL)
                process.wait(_GRACE_S)
        self._wrapper.gone(process.pid)
        if self._log is not None:
            self._log.close()
        self._process = None


def run_to_end(
    command: Sequence[str],
    *,
    name: str,
    environment: Mapping[str, str],
    log_path: Path,
    wrapper: ProcessWrapper,
    timeout_s: float,
) -> None:
    """Run a helper process to its end, its output in a log file.

    Raises:
        EnvironmentNotReadyError: it failed or took too long; with its last log lines.
    """
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            wrapper.wrap(command, name),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            message = f"{name} took longer than {timeout_s:.0f} s"
            raise EnvironmentNotReadyError(message) from error
        finally:
            if process.poll() is None:
                _signal_group(process.pid, signal.SIGKILL)
                process.wait(_GRACE_S)
            wrapper.gone(process.pid)
    if code != 0:
        tail = "".join(f"\n    {line}" for line in last_lines(log_path))
        raise EnvironmentNotReadyError(f"{name} ended with {code}{tail}")


def last_lines(path: Path, count: int = _TAIL_LINES) -> list[str]:
    """Return the last lines of a log file, none if there is no such file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()[-count:]


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
