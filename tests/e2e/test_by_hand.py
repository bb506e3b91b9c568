"""What people do besides `surgeproof run`: Locust by hand, k6, and watching on a terminal."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from surgeproof.journal.samples import read_drops, read_samples
from surgeproof.load.schedule import build_schedule
from surgeproof.plan import load_plan

pytestmark = [pytest.mark.e2e, pytest.mark.full]

# What the conftest's fixtures make; its classes cannot be imported from here.
Rehearsal = Any
Start = Callable[..., Rehearsal]

PATIENCE_S = 90.0
LAUNCH_DAY = "scenarios/launch_day.py"
K6_PLAN = Path("scenarios/launch_day_k6.yaml")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")
# Becomes the foreground program of the terminal on its standard input, as a shell's job is.
TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.fixture(scope="module")
def by_hand(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A stack brought up by hand; its base URL, as it says itself."""
    runs = tmp_path_factory.mktemp("by-hand")
    stack = subprocess.Popen(
        [
            *(sys.executable, "-m", "surgeproof.rehearsal.stack_by_hand"),
            *("target_app/stack.toml", "--seed", "20230705", "--runs", str(runs)),
        ],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert stack.stdout is not None
        said = []
        for line in stack.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                break
        (address,) = (line.split()[-1] for line in said if line.startswith("base url"))
        yield address
        stack.send_signal(signal.SIGINT)
        assert stack.wait(PATIENCE_S) == 0
    finally:
        stack.kill()
        stack.communicate()


@pytest.fixture
def locust(root: Path, by_hand: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``locust -f scenarios/launch_day.py --host …`` with more arguments."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "locust", "-f", LAUNCH_DAY, "--host", by_hand),
                *arguments,
            ],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_locust_by_hand_drives_launch_day_for_as_long_as_asked(
    locust: Callable[..., subprocess.Popen[str]],
) -> None:
    process = locust("--headless", "-t", "10s")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    # Locust prints its table every few seconds; the last one counts.
    assert int(re.findall(r"Aggregated +(\d+) +0\(0\.00%\)", output)[-1]) > 50, output
    assert int(re.findall(r"GET +/v1/feed/home +(\d+) ", output)[-1]) > 0, output


def test_locusts_web_page_starts_launch_day_and_counts_its_requests(
    locust: Callable[..., subprocess.Popen[str]], by_hand: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = locust("--web-host", "127.0.0.1", "--web-port", str(port))
    base = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(base), process)
    form = {"user_count": "1", "spawn_rate": "1", "host": by_hand}
    assert requests.post(f"{base}/swarm", data=form, timeout=10).json()["success"]
    wait_until(lambda: counted(base, "/v1/feed/home") > 10, process)
    assert requests.post(f"{base}/stop", timeout=10).json()["success"]
    assert counted(base, "/v1/feed/home") > 10


def test_k6_sends_what_locust_would_into_the_same_journal(
    start_rehearsal: Start, tmp_path: Path
) -> None:
    run = start_rehearsal(K6_PLAN, tmp_path / "runs", "--set", "load.phases.surge.duration=14s")
    code = run.wait()
    # Which gates hold is the machine's matter here; that there is a verdict on them is not.
    assert code in {0, 3, 7}, run.stdout
    plan = load_plan(K6_PLAN, overrides=["load.phases.surge.duration=14s"])
    schedule = build_schedule(plan.load, plan.seed)
    result = run.result()
    assert result["arrivals"]["schedule_sha256"] == schedule.sha256
    samples, drops = (read(run.folder / "samples") for read in (read_samples, read_drops))
    intended_s = np.concatenate([samples.intended_s, drops.intended_s])
    per_second = np.bincount(intended_s.astype(np.int64), minlength=20)
    assert per_second.tolist() == schedule.per_second().tolist()
    for name in schedule.journeys:
        sent = int(samples.name.equal(name).sum() + drops.name.equal(name).sum())
        assert sent == schedule.expected(name), name
    (fault,) = result["faults"]
    assert fault["verified"]
    assert (run.folder / "report.html").stat().st_size > 0
    assert run.left_behind() == {}


def test_a_terminal_shows_the_run_live_and_ctrl_c_ends_it(
    start_rehearsal: Start, short_plan: Path, tmp_path: Path
) -> None:
    screen = Screen()
    try:
        run = start_rehearsal(
            short_plan,
            tmp_path / "runs",
            within=[sys.executable, "-c", TAKE_TERMINAL],
            environ={"TERM": "xterm-256color", "CI": "", "COLUMNS": "", "LINES": ""},
            terminal=screen.slave,
        )
        screen.watch()
        run.wait_for_event("fault.applied")
        wait_until(lambda: "redis-down (" in screen.text, run.process)
        time.sleep(1.0)
        screen.press(b"\x03")
        assert run.wait() == 130
        assert run.reasons()[0] == "interrupted"
        run.wait_for_nothing_left(timeout_s=0.5)
    finally:
        screen.close()
    shown = screen.text
    for words in (
        "starting the stack",
        "warmup",
        "hold",
        r"offered \d+(\.\d+)?/s",
        r"completed \d+(\.\d+)?/s",
        r"p99 [\d.]+ m?s",
        r"errors [\d.]+ %",
        r"faults redis-down \(\d s left\)",
        "of 8 s",
        r"\d+ s left",
    ):
        assert re.search(words, shown), f"{words}\n{shown}"
    # The cursor, which the panel hides, is there again for the shell.
    assert screen.raw.rindex("\x1b[?25h") > screen.raw.rindex("\x1b[?25l")


class Screen:
    """A terminal of 110 x 30 signs, and everything that was ever written to it."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 110, 0, 0))
        self.raw = ""
        self._reader = threading.Thread(target=self._read)

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self.raw).replace("\N{NO-BREAK SPACE}", " ")

    def watch(self) -> None:
        """Begin to read; from now on the program alone holds the other end."""
        os.close(self.slave)
        self._reader.start()

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def close(self) -> None:
        if self._reader.is_alive():
            self._reader.join(PATIENCE_S)
        os.close(self.master)

    def _read(self) -> None:
        while True:
            try:
                block = os.read(self.master, 65536)
            except OSError:  # nobody has the terminal open any more
                return
            self.raw += block.decode("utf-8", "replace")


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers(base: str) -> bool:
    try:
        return requests.get(base, timeout=5).ok
    except requests.ConnectionError:
        return False


def counted(base: str, name: str) -> int:
    rows = requests.get(f"{base}/stats/requests", timeout=5).json()["stats"]
    return sum(row["num_requests"] for row in rows if row["name"] == name)
