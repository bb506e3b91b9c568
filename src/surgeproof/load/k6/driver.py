"""One k6 run from its plan to its last sample, as a program."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from surgeproof.errors import SurgeproofError, UsageError
from surgeproof.load.handover import LoadOrder
from surgeproof.load.journal_sink import JournalSink
from surgeproof.load.k6.binary import find_k6, k6_environment, k6_version, start_k6
from surgeproof.load.k6.exit_codes import K6Exit, exit_of
from surgeproof.load.k6.gate import StartGate
from surgeproof.load.k6.lines import LinePipe
from surgeproof.load.k6.options import REPLACED, k6_options, k6_stages, k6_times
from surgeproof.load.k6.output import K6Stream
from surgeproof.load.k6.report import K6Report, read_thresholds
from surgeproof.load.k6.rows import K6Rows
from surgeproof.load.k6.thresholds import Thresholds, thresholds_beside
from surgeproof.load.pulse import Pulse
from surgeproof.load.schedule import Schedule, build_schedule

__all__ = ["entry_text", "main"]

_LOG = logging.getLogger("surgeproof.load")
_POLL_S = 0.05
# k6 lets iterations go on after a first SIGINT; the harness gives us 3 s in all.
_STOP_S = 2.0


def entry_text(template: str, script: Path) -> str:
    """Return an entry script for the plan's script, which may lie anywhere.

    Raises:
        UsageError: there is no such script, or its path cannot be written in JavaScript.
    """
    path = str(script.absolute())
    if not script.is_file() or not path.isprintable():
        raise UsageError(f"there is no k6 script {path!r}; accepted: a .js file")
    code = (Path(__file__).parent / template).read_text(encoding="utf-8")
    return code.replace('"@SCRIPT@"', json.dumps(path, ensure_ascii=False))


class _Run:
    """One k6 process and its journal."""

    def __init__(self, order: LoadOrder, samples: Path, thresholds: Thresholds) -> None:
        self._order, self._samples, self._thresholds = order, samples, thresholds
        self._schedule: Schedule = build_schedule(order.load, order.seed)
        self._stages = k6_stages(self._schedule.per_second(), self._schedule.duration_s)
        self._stream = K6Stream()
        self._pulse = Pulse()
        self._sink = JournalSink(samples, order.generator)
        # k6 stamps with the wall clock; the run's axis is the monotonic one.
        self._wall_zero = time.time() - time.monotonic()
        self._rows = K6Rows(order, self._schedule, k6_times(self._stages), self._stream)
        self._beat_at: float | None = None
        self._used: tuple[float, float | None] = (0.0, None)
        self.stop_asked = False

    def follow(self, binary: Path) -> K6Exit:
        """Run k6 to its end and journal what it does; returns how it ended."""
        version = k6_version(binary)
        gate = StartGate(self._samples, self._order.generator, self._order.t0)
        gate.open()
        try:
            process = self._start(binary, gate.url)
            try:
                code = self._watch(process, gate)
            finally:
                _end(process)
        finally:
            gate.close()
            self._sink.close()
        ended = exit_of(code, begun=gate.t0 is not None)
        if self.stop_asked:
            ended = K6Exit("k6 was stopped as asked", 0)
        found = read_thresholds(
            self._path("summary"), self._thresholds, is_judged=self._stream.is_judged
        )
        report = K6Report(version, code, ended.words, found, self._thresholds.left_out)
        report.write(self._samples, self._order.generator)
        return ended

    def _path(self, kind: str) -> Path:
        return (self._samples / f"k6-{kind}-{self._order.generator}.json").absolute()

    def _start(self, binary: Path, control: str) -> subprocess.Popen[bytes]:
        order, schedule, total_s = self._order, self._schedule, self._order.load.timeouts.total_s
        entry = self._samples / f"k6-entry-{order.generator}.js"
        entry.write_text(entry_text("entry.js", order.load.file), encoding="utf-8")
        picks = schedule.journey_index.tolist() if schedule.journeys else []
        self._path("picks").write_text(json.dumps(picks), encoding="utf-8")
        plan = {
            "options": k6_options(
                self._stages,
                graceful_stop_s=total_s,
                max_in_flight=order.load.max_in_flight,
                thresholds=self._thresholds.by_metric(),
            ),
            "replaced": REPLACED,
            "base_url": order.base_url.rstrip("/"),
            "control": control,
            "seed": order.seed,
            "timeout": f"{round(total_s * 1e3)}ms",
            "journeys": schedule.journeys,
            "picks": str(self._path("picks")),
            "phases": [
                {"name": phase.name, "start_ms": phase.start_s * 1e3} for phase in schedule.phases
            ],
            "ledger_kinds": order.ledger_kinds,
            "needs_read_back": bool(order.ledger_kinds),
            "summary": str(self._path("summary")),
        }
        path = self._path("plan")
        path.write_text(json.dumps(plan), encoding="utf-8")
        environment = k6_environment(os.environ, path, order.ca_bundle)
        return start_k6(binary, entry, order.load.file.absolute(), environment)

    def _watch(self, process: subprocess.Popen[bytes], gate: StartGate) -> int:
        if process.stdout is None:
            raise AssertionError("k6 was started without a pipe")
        pipe = LinePipe(process.stdout)
        usage = (psutil.Process(process.pid), psutil.Process())
        killed_at: float | None = None
        try:
            while not pipe.is_over:
                for line in pipe.read(_POLL_S):
                    self._stream.feed(line)
                now = time.monotonic()
                if self.stop_asked and killed_at is None:
                    killed_at = now + _STOP_S
                    process.send_signal(signal.SIGINT)
                    if gate.t0 is not None:
                        self._rows.stop(now - gate.t0)
                if killed_at is not None and now > killed_at:
                    process.kill()
                if gate.t0 is not None and now >= gate.t0:
                    self._beat(gate.t0, now, usage)
        finally:
            pipe.close()
        try:
            # Its stream is over, so k6 has nothing left to say.
            code = process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if gate.t0 is not None and time.monotonic() >= gate.t0:
            self._finish(gate.t0)
        return code

    def _beat(self, t0: float, now: float, usage: Sequence[psutil.Process]) -> None:
        if now - self._used[0] >= _POLL_S:
            # Looked at often, for what k6 has used cannot be asked any more once it has ended.
            self._used = (now, _cpu_s(usage) or self._used[1])
        if self._beat_at is None:
            self._pulse.begin(*self._used)
            self._beat_at = t0 + 1.0
        self._journal(t0)
        if now >= self._beat_at:
            self._line(now - t0, *self._used)
            self._beat_at = max(self._beat_at + 1.0, now)

    def _journal(self, t0: float, *, is_end: bool = False) -> None:
        now_s = time.monotonic() - t0
        t0_wall = self._wall_zero + t0
        for row in self._rows.take(t0_wall, now_s, is_end=is_end):
            self._sink.sample(row)
            self._pulse.sample(row)
            if row.start_s is not None and row.step == 1:
                self._pulse.lag(max(0.0, row.start_s - row.intended_s))
        self._sink.ledger(self._rows.writes(t0_wall))

    def _finish(self, t0: float) -> None:
        self._stream.end()
        self._journal(t0, is_end=True)
        now = time.monotonic()
        drops, cut_off = self._rows.leftovers(now - t0)
        for drop in drops:
            self._sink.drop(drop)
        for row in cut_off:
            self._sink.sample(row)
            self._pulse.sample(row)
        self._line(now - t0, *self._used, is_end=True)

    def _line(
        self, t_s: float, wall_s: float, cpu_s: float | None, *, is_end: bool = False
    ) -> None:
        counts = self._rows.counts(t_s)
        self._sink.pulse(self._pulse.line(t_s, counts, wall_s, cpu_s, is_end=is_end))
        self._sink.flush()


def _cpu_s(processes: Sequence[psutil.Process]) -> float | None:
    """Return the processor time of k6 and of this reader together."""
    try:
        times = [process.cpu_times() for process in processes]
    except psutil.Error:
        return None
    return float(sum(each.user + each.system for each in times))


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def main(arguments: Sequence[str] | None = None, find: Callable[[], Path] = find_k6) -> int:
    """Run as a program; returns the exit code."""
    parser = argparse.ArgumentParser(prog="surgeproof.load.k6", description=__doc__)
    parser.add_argument("--order", type=Path, required=True, help="the run's load.json")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    try:
        order = LoadOrder.read(options.order)
        if order.samples is None:
            raise UsageError(f"{options.order} has no samples folder; k6 needs one")
        if order.load.workers != 1:
            raise UsageError(
                f"load.workers is {order.load.workers}; accepted with engine k6: 1, for it uses "
                "all cores by itself"
            )
        run = _Run(order, order.samples, thresholds_beside(options.order))
        # SIGTERM means the same as to the other generator: stop sending, flush, exit in 3 s.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(run, "stop_asked", True))
        ended = run.follow(find())
    except SurgeproofError as error:
        _LOG.error("%s", error)
        return error.exit_code
    if ended.ours:
        _LOG.error("%s; its own words are above", ended.words)
    return ended.ours
