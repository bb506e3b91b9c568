"""The guardian with real processes, a real Toxiproxy, and a harness that dies in every way."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from surgeproof.errors import EnvironmentNotReadyError, UsageError
from surgeproof.faults.guardian import Guardian

if TYPE_CHECKING:
    from tests.integration.faults.conftest import RealToxiproxy, Toxiproxies

pytestmark = pytest.mark.integration

# What the guardian promises from the harness's death to its own exit.
PROMISE_S = 5.0
DRILL = Path(__file__).with_name("drill_harness.py")


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has reaped yet does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def wait_until(holds: Callable[[], bool], limit_s: float) -> bool:
    until = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def journal(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "guardian.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


class Drill:
    """A harness under way, and everything that it started."""

    def __init__(self, folder: Path, api_url: str, binary: str | None = None) -> None:
        command = [sys.executable, str(DRILL), str(folder), api_url]
        self.folder = folder
        self.harness = subprocess.Popen(
            [*command, binary] if binary else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.harness.stdout is not None
        line = self.harness.stdout.readline()
        if not line:
            assert self.harness.stderr is not None
            pytest.fail(self.harness.stderr.read().decode())
        self.pids: dict[str, int] = json.loads(line)

    def say(self, word: str) -> None:
        assert self.harness.stdin is not None
        self.harness.stdin.write(word.encode() + b"\n")
        self.harness.stdin.flush()

    def running(self) -> list[str]:
        return [name for name, pid in self.pids.items() if is_running(pid)]

    def close(self) -> None:
        for pid in (self.harness.pid, *self.pids.values()):
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
        self.harness.communicate()


@pytest.fixture
def drill(tmp_path: Path, real: RealToxiproxy) -> Iterator[Drill]:
    """A drill on a Toxiproxy that outlives it, so that what was undone can be seen."""
    made = Drill(tmp_path, real.server.api_url)
    try:
        yield made
    finally:
        made.close()


def assert_faults_undone(real: RealToxiproxy) -> None:
    proxies = real.server.proxies()
    assert proxies["slow-edge"].toxics() == {}
    assert proxies["down-edge"].enabled


def assert_cleaned_up(drill: Drill, began: float) -> None:
    gone = wait_until(lambda: not is_running(drill.pids["guardian"]), 3 * PROMISE_S)
    took_s = time.monotonic() - began
    assert gone
    assert drill.running() == []
    assert not (drill.folder / "guardian.fifo").exists()
    assert took_s < PROMISE_S


def test_kill_9_of_the_harness_leaves_no_fault_and_no_process(
    drill: Drill, real: RealToxiproxy
) -> None:
    assert real.server.proxies()["slow-edge"].toxics()
    assert not real.server.proxies()["down-edge"].enabled
    assert sorted(drill.running()) == ["deaf", "deaf's child", "guardian", "plain"]
    began = time.monotonic()
    drill.harness.kill()
    assert_cleaned_up(drill, began)
    assert_faults_undone(real)


def test_the_journal_says_what_was_done_in_which_order(drill: Drill) -> None:
    drill.harness.kill()
    assert wait_until(lambda: not is_running(drill.pids["guardian"]), 3 * PROMISE_S)
    lines = journal(drill.folder)
    assert [line["action"] for line in lines] == [
        "started",
        "ending",
        "fault.undone",
        "fault.undone",
        "process.term",
        "process.term",
        "process.kill",
        "ended",
    ]
    assert [line["id"] for line in lines[2:4]] == ["abc123.2", "abc123.1"]
    assert all(line["verified"] for line in lines[2:4])
    assert [line["name"] for line in lines[4:6]] == ["deaf", "plain"]
    assert set(lines[6]["pids"]) == {drill.pids["deaf"], drill.pids["deaf's child"]}
    assert (lines[7]["faults_left"], lines[7]["processes_left"]) == ([], [])


def test_a_guarded_toxiproxy_goes_too(
    toxiproxies: Toxiproxies, tmp_path: Path, free_api_port: int
) -> None:
    drill = Drill(tmp_path, f"http://127.0.0.1:{free_api_port}", toxiproxies.binary)
    try:
        assert "toxiproxy" in drill.running()
        began = time.monotonic()
        drill.harness.kill()
        assert_cleaned_up(drill, began)
        undone = [line for line in journal(tmp_path) if line["action"] == "fault.undone"]
        assert [line["verified"] for line in undone] == [True, True]
        assert not any("server" in line for line in undone), "undone before the server was ended"
    finally:
        drill.close()


def test_a_server_that_hangs_does_not_keep_processes_alive(
    drill: Drill, real: RealToxiproxy
) -> None:
    os.kill(real.process.pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        drill.harness.kill()
        gone = wait_until(lambda: drill.running() == ["guardian"], 3 * PROMISE_S)
        took_s = time.monotonic() - began
    finally:
        os.kill(real.process.pid, signal.SIGCONT)
    assert gone
    assert took_s < PROMISE_S
    # The server is back: what could not be undone at first is undone now.
    assert wait_until(lambda: not is_running(drill.pids["guardian"]), 3 * PROMISE_S)
    assert_faults_undone(real)
    assert journal(drill.folder)[-1]["faults_left"] == []


def test_an_exception_that_leaves_the_block_counts_as_the_harnesss_death(
    drill: Drill, real: RealToxiproxy
) -> None:
    began = time.monotonic()
    drill.say("raise")
    assert_cleaned_up(drill, began)
    assert_faults_undone(real)


def test_sigterm_to_the_guardian_cleans_up(drill: Drill, real: RealToxiproxy) -> None:
    began = time.monotonic()
    os.kill(drill.pids["guardian"], signal.SIGTERM)
    assert_cleaned_up(drill, began)
    assert_faults_undone(real)
    assert drill.harness.poll() is None, "the harness itself is never touched"


def test_the_guardian_ignores_the_terminals_signals(drill: Drill) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(drill.pids["guardian"], number)
    time.sleep(0.3)
    assert "guardian" in drill.running()
    assert os.getsid(drill.pids["guardian"]) == drill.pids["guardian"]


def test_a_bye_that_leaves_something_open_is_cleaned_up_after(
    drill: Drill, real: RealToxiproxy
) -> None:
    drill.say("bye")
    assert drill.harness.wait(10) == 0
    assert not drill.running()
    assert_faults_undone(real)
    assert not (drill.folder / "guardian.fifo").exists()


def test_a_bye_with_nothing_open_ends_at_once(tmp_path: Path) -> None:
    with Guardian.start(tmp_path) as guardian:
        assert guardian.alive()
        sleeper = subprocess.Popen(guardian.wrap(["sleep", "600"], "s"), start_new_session=True)
        sleeper.kill()
        sleeper.wait()
        guardian.gone(sleeper.pid)
    assert not guardian.alive()
    assert [line["action"] for line in journal(tmp_path)] == ["started", "bye"]


def test_a_guardian_that_dies_first_is_noticed_and_harms_nobody(tmp_path: Path) -> None:
    guardian = Guardian.start(tmp_path)
    os.kill(guardian.pid, signal.SIGKILL)
    assert wait_until(lambda: not guardian.alive(), 5)
    with pytest.raises(EnvironmentNotReadyError, match=r"guardian .* is gone"):
        guardian.intent("1", {"method": "DELETE", "url": "http://127.0.0.1:9/", "ok": [204]})
    guardian.undone("1")
    # Its pipe has no reader any more; a child must start all the same.
    child = subprocess.run(
        guardian.wrap(["echo", "hello"], "child"),
        stdout=subprocess.PIPE,
        start_new_session=True,
        timeout=10,
        check=True,
    )
    assert child.stdout == b"hello\n"
    guardian.bye()
    assert not (tmp_path / "guardian.fifo").exists()


def test_there_is_never_a_second_guardian(tmp_path: Path) -> None:
    with Guardian.start(tmp_path), pytest.raises(EnvironmentNotReadyError, match="did not start"):
        Guardian.start(tmp_path)


def test_a_wrapped_command_keeps_pid_arguments_and_exit_code(tmp_path: Path) -> None:
    script = "import os, sys; print(os.getpid(), sys.argv[1:]); sys.exit(7)"
    arguments = ["a b", "$HOME", "'\"\\", ""]
    with Guardian.start(tmp_path) as guardian:
        child = subprocess.Popen(
            guardian.wrap([sys.executable, "-c", script, *arguments], "child"),
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        output, _ = child.communicate(timeout=10)
    assert output.decode() == f"{child.pid} {arguments}\n"
    assert child.returncode == 7


@pytest.mark.parametrize("name", ["", "two words", "line\n"])
def test_a_name_that_would_break_the_protocol_is_refused(tmp_path: Path, name: str) -> None:
    with Guardian.start(tmp_path) as guardian, pytest.raises(UsageError, match="without spaces"):
        guardian.wrap(["true"], name)


def test_a_child_whose_harness_is_dead_becomes_nothing(tmp_path: Path) -> None:
    with Guardian.start(tmp_path) as guardian:
        command = guardian.wrap(["touch", str(tmp_path / "made")], "child")
        # Started by another process than the harness, as if the harness had died meanwhile.
        code = f"import subprocess, sys; sys.exit(subprocess.run({command!r}).returncode)"
        orphan = subprocess.run([sys.executable, "-c", code], timeout=10, check=False)
    assert orphan.returncode == 125
    assert not (tmp_path / "made").exists()


SPAWNER = """
import subprocess, sys
from pathlib import Path
from surgeproof.faults.guardian import Guardian
guardian = Guardian.start(Path(sys.argv[1]))
print(guardian.pid, flush=True)
for _ in range(60):
    subprocess.Popen(guardian.wrap(["sleep", sys.argv[2]], "child"), start_new_session=True)
"""


def sleepers(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and mark.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return [pid for pid in found if is_running(pid)]


@pytest.mark.parametrize("round_", range(6))
def test_children_caught_between_fork_and_exec_are_ended_too(tmp_path: Path, round_: int) -> None:
    delay_s = random.Random(round_).uniform(0.0, 0.04)
    # Unique, so that only this test's children are counted.
    mark = f"6{os.getpid()}.{round_}"
    harness = subprocess.Popen(
        [sys.executable, "-c", SPAWNER, str(tmp_path), mark], stdout=subprocess.PIPE
    )
    assert harness.stdout is not None
    guardian = int(harness.stdout.readline())
    try:
        time.sleep(delay_s)
        harness.kill()
        harness.wait()
        assert wait_until(lambda: not is_running(guardian), 3 * PROMISE_S)
        # A child that found its harness dead is on its way out by itself.
        assert wait_until(lambda: not sleepers(mark), 2)
        assert journal(tmp_path)[-1]["processes_left"] == []
    finally:
        harness.stdout.close()
        for pid in sleepers(mark):
            os.kill(pid, signal.SIGKILL)


LATE_SPAWNER = """
import os, subprocess, sys
from pathlib import Path
from surgeproof.faults.guardian import Guardian
guardian = Guardian.start(Path(sys.argv[1]))
print(guardian.pid, flush=True)
os.close(guardian._process.stdin.fileno())
child = subprocess.Popen(
    guardian.wrap(["sh", "-c", "echo ok; exec sleep " + sys.argv[2]], "child"),
    stdout=subprocess.PIPE,
    start_new_session=True,
)
child.stdout.readline()
os._exit(0)
"""


def test_a_child_that_registers_while_the_harness_dies_is_still_ended(tmp_path: Path) -> None:
    mark = f"7{os.getpid()}"
    harness = subprocess.run(
        [sys.executable, "-c", LATE_SPAWNER, str(tmp_path), mark],
        stdout=subprocess.PIPE,
        timeout=30,
        check=True,
    )
    try:
        assert wait_until(lambda: not is_running(int(harness.stdout)), 3 * PROMISE_S)
        assert not sleepers(mark)
    finally:
        for pid in sleepers(mark):
            os.kill(pid, signal.SIGKILL)


def test_a_process_told_by_pid_is_ended_and_one_that_is_gone_is_not_looked_for(
    tmp_path: Path,
) -> None:
    guardian = Guardian.start(tmp_path)
    first, second = (subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(2))
    try:
        guardian.process(first.pid, "first")
        guardian.process(second.pid, "second")
        guardian.gone(second.pid)
        os.kill(guardian.pid, signal.SIGTERM)
        assert wait_until(lambda: not guardian.alive(), 3 * PROMISE_S)
        assert first.wait(5) == -signal.SIGTERM
        assert second.poll() is None
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
        guardian.bye()
