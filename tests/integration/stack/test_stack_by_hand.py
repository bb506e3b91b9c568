"""The entry for people, with the real guardian: up, told, and down again whatever happens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from surgeproof.stack.probes import get

pytestmark = pytest.mark.integration

# The promise is five seconds after the death; the rest is room for a busy machine.
GONE_WITHIN_S = 10.0


@contextmanager
def stack_by_hand(
    workshop: Any, text: str, *extra: str
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Start the entry and read what it says up to its last line."""
    workshop.write("stack.toml", text)
    command = [sys.executable, "-m", "surgeproof.rehearsal.stack_by_hand"]
    places = ["--runs", str(workshop.folder / "runs"), "--cache", str(workshop.cache)]
    by_hand = subprocess.Popen(
        [*command, str(workshop.folder / "stack.toml"), *places, *extra],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said: list[str] = []
    try:
        assert by_hand.stdout is not None
        for line in by_hand.stdout:
            said.append(line.rstrip())
            if line.startswith("Ctrl-C"):
                break
        yield by_hand, said
    finally:
        by_hand.kill()
        by_hand.communicate()


def started_processes(workshop: Any) -> list[psutil.Process]:
    (description,) = (workshop.folder / "runs").glob("*/stack.json")
    rows = json.loads(description.read_text(encoding="utf-8"))["processes"]
    return [psutil.Process(row["pid"]) for row in rows]


def wait_for_ends(processes: list[psutil.Process]) -> list[psutil.Process]:
    # A killed parent's children are reaped by init, so a zombie is as good as gone.
    deadline = time.monotonic() + GONE_WITHIN_S
    left = processes
    while left and time.monotonic() < deadline:
        left = [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        time.sleep(0.02)
    return left


def test_it_says_where_the_stack_answers_and_ends_in_order_on_ctrl_c(
    workshop: Any, whole_stack: str
) -> None:
    with stack_by_hand(workshop, whole_stack, "--seed", "3", "--env", "APP_EXTRA=yes") as (
        by_hand,
        said,
    ):
        (address,) = (line.split()[-1] for line in said if line.startswith("base url"))
        answer = get(f"{address}/environment", timeout_s=5.0)
        assert answer is not None
        assert json.loads(answer[1])["APP_EXTRA"] == "yes"
        assert any(line.startswith("edge       echo-pg") for line in said)
        processes = started_processes(workshop)
        by_hand.send_signal(signal.SIGINT)
        assert by_hand.wait(timeout=30) == 0
        assert [one for one in processes if one.is_running()] == []
    assert list((workshop.cache / "runs").iterdir()) == []


def test_a_killed_harness_leaves_no_process_behind(workshop: Any, whole_stack: str) -> None:
    with stack_by_hand(workshop, whole_stack, "--seed", "3") as (by_hand, said):
        assert said[-1].startswith("Ctrl-C"), said
        processes = started_processes(workshop)
        processes += [child for one in processes for child in one.children(recursive=True)]
        assert len(processes) > len(started_processes(workshop))
        by_hand.kill()
        assert wait_for_ends(processes) == []


def test_the_death_of_a_process_ends_it_and_is_named(workshop: Any, only_echo: str) -> None:
    with stack_by_hand(workshop, only_echo) as (by_hand, _):
        (echo,) = started_processes(workshop)
        echo.kill()
        assert by_hand.stdout is not None
        assert f"echo (pid {echo.pid}) has ended by itself" in by_hand.stdout.read()
        assert by_hand.wait(timeout=30) == 1


def test_a_mistake_in_the_stack_file_is_told_with_its_exit_code(workshop: Any) -> None:
    with stack_by_hand(workshop, 'name = "small"\n') as (by_hand, said):
        assert by_hand.wait(timeout=30) == 2
        assert "stack.toml:1:0: entry: is missing" in "\n".join(said)
