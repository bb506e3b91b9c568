"""Processes that we start: registered, logged, waited for, and ended in reverse order."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from surgeproof.clock import Clock
from surgeproof.errors import EnvironmentNotReadyError, PortTakenError, TargetNotReadyError
from surgeproof.stack.guarding import ProcessGuardian
from surgeproof.stack.interrupts import interrupts_deferred
from surgeproof.stack.ports import is_answering, taken_message
from surgeproof.stack.probes import Probe
from surgeproof.stack.users import User, as_user

__all__ = ["Child", "Children", "Launch", "tail"]

STOP_GRACE_S = 2.0
_SHORTEST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.1
_TAIL_LINES = 15
_TAIL_BYTES = 16384


@dataclass(frozen=True, slots=True)
class Launch:
    """How one process is started and known to be ready.

    ``rank`` orders the end: higher ranks end first. ``fixed_port`` is set where the user chose it,
    so that its loss can be told apart from other deaths.
    """

    name: str
    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    ready: Probe
    waits_for: str
    ready_timeout_s: float
    rank: int = 0
    fixed_port: int | None = None
    user: User | None = None
    stop_signal: signal.Signals = signal.SIGTERM


class Child:
    """A started process, leader of its own session."""

    def __init__(self, launch: Launch, process: subprocess.Popen[bytes], log: Path) -> None:
        self.launch = launch
        self.log = log
        self._process = process

    @property
    def name(self) -> str:
        return self.launch.name

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_ended(self) -> bool:
        """Tell whether it is dead, without taking its pid out of the kernel's table."""
        if self._process.returncode is not None:
            return True
        try:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        return ended is not None

    def signal_group(self, number: signal.Signals) -> None:
        """Signal its whole process group; the leader must not have been reaped yet."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def reap(self) -> int:
        """Wait for the end (the caller knows that it has come) and return the exit code."""
        return self._process.wait()


class Children:
    """Every process of one stack. One thread only.

    A process is registered with the guardian before it becomes the program it is started for, so
    there is no moment at which the harness could die and leave it unknown.
    """

    def __init__(self, guardian: ProcessGuardian, logs: Path, clock: Clock) -> None:
        self._guardian = guardian
        self._logs = logs
        self._clock = clock
        self._alive: list[Child] = []

    @property
    def alive(self) -> tuple[Child, ...]:
        """The processes not stopped by us, in start order; some may have died by themselves."""
        return tuple(self._alive)

    def spawn(self, launch: Launch) -> Child:
        """Start a process; its output goes to ``<logs>/<name>.log``.

        Raises:
            EnvironmentNotReadyError: it cannot be started at all.
        """
        log = self._logs / f"{launch.name}.log"
        command = self._guardian.wrap(as_user(launch.user, launch.command), launch.name)
        # An interrupt between the start and the entry in our list would lose the process.
        with interrupts_deferred():
            try:
                with log.open("ab") as output:
                    process = subprocess.Popen(
                        command,
                        cwd=launch.directory,
                        env=dict(launch.environment),
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
            except OSError as error:
                message = f"cannot start {launch.name} ({launch.command[0]}): {error.strerror}"
                raise EnvironmentNotReadyError(message) from error
            child = Child(launch, process, log)
            self._alive.append(child)
        return child

    def wait_until_ready(self, waiting: Sequence[Child]) -> None:
        """Return once all of ``waiting`` are ready; the death of any child ends the wait.

        Raises:
            TargetNotReadyError: one died or took too long; with its last log lines.
            PortTakenError: one died because its fixed port is somebody else's.
        """
        started = self._clock.monotonic()
        pending, pause_s = list(waiting), _SHORTEST_PAUSE_S
        while True:
            for child in self._alive:
                if child.has_ended():
                    raise self._death(child)
            pending = [child for child in pending if not child.launch.ready(child.pid)]
            if not pending:
                return
            waited_s = self._clock.monotonic() - started
            for child in pending:
                if waited_s >= child.launch.ready_timeout_s:
                    raise _overdue(child)
            self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def run(self, launch: Launch) -> None:
        """Run a process to its end; ``ready_timeout_s`` is all the time it gets.

        Raises:
            TargetNotReadyError: it failed or took too long; with its last log lines.
        """
        child = self.spawn(launch)
        deadline = self._clock.monotonic() + launch.ready_timeout_s
        pause_s = _SHORTEST_PAUSE_S
        while not child.has_ended():
            if self._clock.monotonic() >= deadline:
                raise _overdue(child)
            self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        code = self._bury(child)
        if code != 0:
            raise TargetNotReadyError(
                f"{launch.name} {_how(code)}{_log_of(child)}", tail(child.log)
            )

    def dead(self) -> tuple[tuple[str, int], ...]:
        """Return name and pid of every process that has died without being told to."""
        return tuple((child.name, child.pid) for child in self._alive if child.has_ended())

    def stop(self, children: Sequence[Child] | None = None) -> None:
        """End ``children`` (all by default), rank by rank, the last started first.

        Each rank gets its stop signals together, then 2 s, then SIGKILL. Ends nothing twice.
        """
        chosen = self._alive if children is None else children
        for rank in sorted({child.launch.rank for child in chosen}, reverse=True):
            self._stop_rank([child for child in reversed(chosen) if child.launch.rank == rank])

    def _stop_rank(self, children: Sequence[Child]) -> None:
        for child in children:
            child.signal_group(child.launch.stop_signal)
        self._wait_for_ends(children, STOP_GRACE_S)
        # A leader that has ended may have left others of its group behind: they go too, and
        # they go before the leader is reaped, while its pid can belong to nobody else.
        for child in children:
            child.signal_group(signal.SIGKILL)
        for child in children:
            self._bury(child)

    def _wait_for_ends(self, children: Sequence[Child], timeout_s: float) -> None:
        deadline = self._clock.monotonic() + timeout_s
        pause_s = _SHORTEST_PAUSE_S
        while not all(child.has_ended() for child in children):
            if self._clock.monotonic() >= deadline:
                return
            self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _bury(self, child: Child) -> int:
        code = child.reap()
        self._alive.remove(child)
        self._guardian.gone(child.pid)
        return code

    def _death(self, child: Child) -> EnvironmentNotReadyError:
        port = child.launch.fixed_port
        code = self._bury(child)
        if port is not None and is_answering(port):
            return PortTakenError(taken_message(child.name, port))
        return TargetNotReadyError(f"{child.name} {_how(code)}{_log_of(child)}", tail(child.log))


def tail(log: Path) -> tuple[str, ...]:
    """Return the last lines of a log, none where there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(line for line in text.splitlines() if line.strip())[-_TAIL_LINES:]


def _overdue(child: Child) -> TargetNotReadyError:
    limit = f"{child.launch.ready_timeout_s:g}s"
    message = f"{child.name} was not ready after {limit} (waited for {child.launch.waits_for})"
    return TargetNotReadyError(message + _log_of(child), tail(child.log))


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _log_of(child: Child) -> str:
    if not tail(child.log):
        return f"; it wrote nothing to {child.log}"
    return f"; the last lines of {child.log}:"
