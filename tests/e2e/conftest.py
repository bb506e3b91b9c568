"""Whole rehearsals on the reference stack, as a user starts them: by the command line."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# Every process that a rehearsal starts inherits this variable, whatever it makes of itself.
MARK = "E2E_REHEARSAL"
# A stack comes up in about 5 s and its users log in within another 5; the rest is for a cold
# database cache and a machine with other work.
PATIENCE_S = 120.0
POLL_S = 0.02

# Load and faults of some seconds: enough to be in the middle of, with gates that a busy machine
# passes as well.
SHORT_PLAN = """\
version: 1
name: short
seed: 20230705
target:
  driver: processes
  edges: target_app/edges.toml
  contract: target_app/contracts/degradation.toml
timeout: 2m
endpoints:
  - {name: "GET /v1/feed/home", tier: T0, deadline: 1s}
  - {name: "POST /v1/posts", tier: T1, deadline: 2s}
load:
  file: scenarios/launch_day.py
  engine: locust
  unit: request
  mix: scenarios/mix.toml
  phases:
    - {name: warmup, duration: 2s, mix: steady, arrivals: {constant: {rate: 20/s}}}
    - {name: hold, duration: 6s, mix: launch_hour, arrivals: {constant: {rate: 20/s}}}
faults:
  - {name: redis-down, edge: feed-timeline, kind: down, at: hold.start, for: 4s}
gates:
  - 'http.errors: rate < 90%'
ledger: [post]
"""


@dataclass(frozen=True)
class Line:
    """One line of a program's standard error and when it came (seconds, monotonic)."""

    at_s: float
    text: str


class Rehearsal:
    """A `surgeproof` command that runs, and what can be seen of it from outside."""

    def __init__(
        self,
        command: list[str],
        runs: Path,
        environ: Mapping[str, str],
        terminal: int | None = None,
    ) -> None:
        self.runs = runs
        self.mark = secrets.token_hex(8)
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environ, MARK: self.mark},
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if terminal is None else terminal,
            text=True,
            # Signals of these tests go to the harness alone, as `kill` sends them.
            start_new_session=True,
        )
        self.lines: list[Line] = []
        self._stdout = ""
        self._readers = [threading.Thread(target=self._read_answer)]
        if terminal is None:
            self._readers.append(threading.Thread(target=self._read_lines))
        for reader in self._readers:
            reader.start()

    def _read_lines(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for text in stderr:
                self.lines.append(Line(time.monotonic(), text.rstrip("\n")))

    def _read_answer(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            self._stdout = stdout.read()

    @property
    def stderr(self) -> str:
        return "\n".join(line.text for line in self.lines)

    @property
    def stdout(self) -> str:
        """All of the standard output; only once the command has ended."""
        assert self.process.returncode is not None
        return self._stdout

    @property
    def folder(self) -> Path:
        """The run folder, which must be there by now."""
        (folder,) = (path for path in self.runs.iterdir() if not path.is_symlink())
        return folder

    @property
    def has_folder(self) -> bool:
        return self.runs.is_dir() and any(self.runs.iterdir())

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for something that happens while the command runs."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            ended = self.process.poll()
            if ended is not None:
                self.wait()
                pytest.fail(f"ended with {ended} before {what}:\n{self.stdout}\n{self.stderr}")
            assert time.monotonic() < deadline, f"no {what} in {PATIENCE_S:g} s:\n{self.stderr}"
            time.sleep(POLL_S)

    def wait_for_event(self, event: str) -> None:
        self.wait_until(lambda: event in {one["event"] for one in self.events()}, event)

    def wait_for_log(self, name: str) -> None:
        """Wait until the process ``name`` is started: its log is opened right before."""
        self.wait_until(
            lambda: self.has_folder and (self.folder / "logs" / f"{name}.log").exists(), name
        )

    def wait_for_line(self, part: str) -> None:
        self.wait_until(lambda: part in self.stderr, repr(part))

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for the command's end and return its exit code."""
        code = self.process.wait(timeout_s)
        for reader in self._readers:
            reader.join(timeout_s)
        return code

    def events(self) -> list[dict[str, Any]]:
        """The journal's events so far; none before there is a folder."""
        if not self.has_folder:
            return []
        path = self.folder / "events.jsonl"
        return json_lines(path)

    def result(self) -> dict[str, Any]:
        data = json.loads((self.folder / "result.json").read_text(encoding="utf-8"))
        assert isinstance(data, dict)
        return data

    def reasons(self) -> list[str]:
        return [reason["code"] for reason in self.result()["verdict"]["reasons"]]

    def guardian(self) -> list[dict[str, Any]]:
        return json_lines(self.folder / "logs" / "guardian.jsonl")

    def processes(self) -> dict[str, int]:
        """The target's processes by name, as the run folder tells."""
        stack = json.loads((self.folder / "stack.json").read_text(encoding="utf-8"))
        return {process["name"]: process["pid"] for process in stack["processes"]}

    def generator_pid(self) -> int:
        (event,) = (one for one in self.events() if one["event"] == "generator.started")
        return int(event["pid"])

    def left_behind(self) -> dict[int, str]:
        """Every living process of this rehearsal, the harness itself apart, with its command."""
        needles = (f"{MARK}={self.mark}".encode(), str(self.runs).encode())
        found = {}
        for each in Path("/proc").iterdir():
            if not each.name.isdigit() or int(each.name) in {os.getpid(), self.process.pid}:
                continue
            traces = _read(each / "environ") + _read(each / "cmdline") + _open_files(each)
            if any(needle in traces for needle in needles) and not _is_zombie(each):
                found[int(each.name)] = _read(each / "cmdline").replace(b"\0", b" ").decode()
        return found

    def wait_for_nothing_left(self, timeout_s: float) -> float:
        """Wait until nothing is left behind and return how long it took."""
        begun = time.monotonic()
        while left := self.left_behind():
            waited = time.monotonic() - begun
            assert waited < timeout_s, f"still there after {waited:.1f} s: {left}"
            time.sleep(POLL_S)
        return time.monotonic() - begun

    def clear(self) -> None:
        """End whatever a failed test left."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        for pid in self.left_behind():
            os.kill(pid, signal.SIGKILL)


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a JSON-lines file, none where there is no file."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile, or belongs to somebody else
        return b""


def _open_files(process: Path) -> bytes:
    names = [process / "cwd"]
    try:
        names += (process / "fd").iterdir()
        return b"".join(str(name.readlink()).encode() for name in names)
    except OSError:
        return b""


def _is_zombie(process: Path) -> bool:
    return _read(process / "stat").rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"], [])


StartRehearsal = Callable[..., Rehearsal]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture
def short_plan(tmp_path: Path) -> Path:
    path = tmp_path / "short.yaml"
    path.write_text(SHORT_PLAN, encoding="utf-8")
    return path


@pytest.fixture
def start_rehearsal() -> Iterator[StartRehearsal]:
    """Start ``surgeproof run PLAN --out RUNS`` with more arguments and environment."""
    with starting_rehearsals() as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_rehearsal() -> Iterator[StartRehearsal]:
    """The same for a rehearsal that all tests of a module look at."""
    with starting_rehearsals() as start:
        yield start


@contextmanager
def starting_rehearsals() -> Iterator[StartRehearsal]:
    """Give a way to start rehearsals, and end what is left of them."""
    started: list[Rehearsal] = []

    def start(
        plan: Path,
        runs: Path,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
        terminal: int | None = None,
    ) -> Rehearsal:
        command = [*within, sys.executable, "-m", "surgeproof", "run", str(plan)]
        whole = [*command, "--out", str(runs), *arguments]
        started.append(Rehearsal(whole, runs, {**os.environ, **(environ or {})}, terminal))
        return started[-1]

    try:
        yield start
    finally:
        for rehearsal in started:
            rehearsal.clear()
