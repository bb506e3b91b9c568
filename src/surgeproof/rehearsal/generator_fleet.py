"""Several generator processes as the harness sees them: a master and its workers, as one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from surgeproof.clock import Clock
from surgeproof.errors import TargetNotReadyError
from surgeproof.journal.folder import RunFolder
from surgeproof.load.fleet.fleet_journal import EVENTS_FILE
from surgeproof.load.handover import LoadOrder
from surgeproof.load.locust_process import master_command, worker_command, worker_environment
from surgeproof.rehearsal.generator import (
    Generator,
    ProcessWrapper,
    Pulse,
    PulseTail,
    last_lines,
)
from surgeproof.stack.ports import PortBook

__all__ = ["FleetPulses", "GeneratorFleet"]

# A worker that has not said anything for so long is not waited for.
_SILENT_S = 2.5
_TURN_S = 0.2

Happening = tuple[str, dict[str, object]]


class FleetPulses:
    """The pulses of all workers in one: counts are sums, quantiles and ratios the worst worker's.

    A line a second while the load goes on, and one at its end with what was due by then.
    """

    def __init__(self, samples: Path) -> None:
        self._samples = samples
        self._tails: dict[Path, PulseTail] = {}
        self._latest: dict[Path, Pulse] = {}
        self._fresh: set[Path] = set()
        self._end: Mapping[str, object] | None = None

    def note_end(self, end: Mapping[str, object]) -> None:
        """Take what the master says at the end: ``end_s``, ``due`` and ``unknown``."""
        self._end = end

    def read(self) -> list[Pulse]:
        """Return the lines that have become whole since the last look."""
        for path in self._samples.glob("pulse-*.jsonl"):
            self._tails.setdefault(path, PulseTail(path))
        found = [(pulse, path) for path, tail in self._tails.items() for pulse in tail.read()]
        lines: list[Pulse] = []
        for pulse, path in sorted(found, key=lambda each: each[0].t_s):
            if path in self._fresh:
                lines.append(self._merge())
            self._latest[path] = pulse
            self._fresh.add(path)
            since_s = pulse.t_s - _SILENT_S
            awaited = {each for each in self._tails if self._last_s(each) > since_s}
            if self._fresh >= awaited:
                lines.append(self._merge())
        if self._end is not None and self._latest:
            due, unknown = (int(str(self._end[key])) for key in ("due", "unknown"))
            last = self._merge()
            lines.append(replace(last, scheduled=due, dropped=last.dropped + unknown, is_end=True))
            self._end = None
        return lines

    def _last_s(self, path: Path) -> float:
        latest = self._latest.get(path)
        return 0.0 if latest is None else latest.t_s

    def _merge(self) -> Pulse:
        self._fresh.clear()
        each = list(self._latest.values())
        return Pulse(
            t_s=max(pulse.t_s for pulse in each),
            scheduled=sum(pulse.scheduled for pulse in each),
            sent=sum(pulse.sent for pulse in each),
            completed=sum(pulse.completed for pulse in each),
            dropped=sum(pulse.dropped for pulse in each),
            requests=sum(pulse.requests for pulse in each),
            errors=sum(pulse.errors for pulse in each),
            in_flight=sum(pulse.in_flight for pulse in each),
            p99_s=_most([pulse.p99_s for pulse in each]),
            cpu_ratio=_most([pulse.cpu_ratio for pulse in each]),
            loop_lag_p99_s=_most([pulse.loop_lag_p99_s for pulse in each]),
            is_end=False,
        )


class GeneratorFleet:
    """One master and ``load.workers`` workers, all of this machine, from their start to their end.

    The load is over when the master is. A worker that dies is the master's business.
    """

    def __init__(self, folder: RunFolder, wrapper: ProcessWrapper, clock: Clock) -> None:
        self._folder, self._wrapper, self._clock = folder, wrapper, clock
        self._ports = PortBook()
        self._master = Generator(folder, wrapper, clock, name="generator-master")
        self._workers: list[Generator] = []
        self._position = 0
        self.pulses = FleetPulses(folder.samples)

    @property
    def log_path(self) -> Path:
        return self._master.log_path

    @property
    def label(self) -> int | str:
        return "master"

    def start(
        self, order: LoadOrder, environment: Mapping[str, str], worker_base: Mapping[str, str]
    ) -> None:
        """Start all processes; ``environment`` is the master's, with the order and the secrets."""
        port = self._ports.reserve("locust-master")
        self._master.start(master_command(order, port), environment)
        for number in range(order.load.workers):
            worker = Generator(
                self._folder, self._wrapper, self._clock, name=f"generator-worker-{number + 1}"
            )
            self._workers.append(worker)
            worker.start(worker_command(order, port), worker_environment(worker_base))

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until every worker is prepared.

        Raises:
            TargetNotReadyError: one of the processes died, or it took too long.
        """
        deadline = self._clock.monotonic() + timeout_s
        while True:
            left_s = deadline - self._clock.monotonic()
            if self._master.is_ready(min(_TURN_S, max(0.0, left_s))):
                return
            for worker in self._workers:
                code = worker.poll()
                if code is not None:
                    message = f"a load worker ended with {code} before it was prepared"
                    raise TargetNotReadyError(message, last_lines(worker.log_path))
            if left_s <= 0:
                message = f"the generators were not prepared within {timeout_s:.0f} s"
                raise TargetNotReadyError(message, last_lines(self.log_path))

    def announce_start(self, t0: float) -> None:
        """Tell the master when t0 is, in seconds on CLOCK_MONOTONIC."""
        self._master.announce_start(t0)

    def happenings(self) -> list[Happening]:
        """Return what the master has written of its workers since the last call."""
        path = self._folder.samples / EVENTS_FILE
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        self._position += whole
        happened: list[Happening] = []
        for line in data[:whole].splitlines():
            fields = json.loads(line)
            name = str(fields.pop("event"))
            if name == "ended":
                self.pulses.note_end(fields)
            else:
                happened.append((name, fields))
        return happened

    def poll(self) -> int | None:
        """Return the master's exit code, None while it runs."""
        for worker in self._workers:
            worker.poll()
        return self._master.poll()

    def stop(self) -> None:
        """End all processes that still run: the master first, which ends the workers in order."""
        for each in (self._master, *self._workers):
            each.stop()
        self._ports.close()


def _most(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
