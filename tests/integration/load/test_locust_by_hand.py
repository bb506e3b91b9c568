"""Locust started by a person: ``locust -f FILE --host URL``, headless and with the web UI."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0

# What the conftest's fixture makes; its class cannot be imported from here.
Target = Any

PLAN = """
version: 1
name: by-hand
seed: 5
target: {driver: external, base_url: "http://127.0.0.1:1"}
endpoints:
  - {name: "GET /a", tier: T0, deadline: 1s}
load:
  file: scenario.py
  engine: locust
  unit: request
  mix: mix.toml
  phases:
    - {name: one, duration: 2s, mix: steady, arrivals: {constant: {rate: 50/s}}}
gates:
  - 'http.errors: rate < 50%'
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    file = tmp_path / "scenario.py"
    file.write_text(
        "from surgeproof.load import OpenLoopUser, journey\n\n"
        "class Someone(OpenLoopUser):\n"
        '    @journey("GET /a")\n'
        "    async def read(self):\n"
        '        await self.client.get("/a")\n'
    )
    (tmp_path / "scenario.yaml").write_text(PLAN)
    (tmp_path / "mix.toml").write_text('[steady]\n"GET /a" = 1\n')
    return file


@pytest.fixture
def locust(scenario: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LOCUST_", "SURGEPROOF_"))
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(scenario), *arguments],
            cwd=scenario.parent,
            env=environment,
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
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize("users", ["1", "10"])
def test_a_headless_run_sends_the_plans_schedule_once_and_ends(
    target: Target, locust: Callable[..., subprocess.Popen[str]], users: str
) -> None:
    process = locust("--headless", "--host", target.url, "--users", users, "--spawn-rate", users)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert target.seen == {"/a": 100}


def test_ctrl_c_ends_a_run_by_hand(
    target: Target, locust: Callable[..., subprocess.Popen[str]]
) -> None:
    process = locust("--headless", "--host", target.url)
    _wait_until(lambda: target.seen["/a"] > 10)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0, output


def test_without_a_host_the_run_says_what_is_missing(
    locust: Callable[..., subprocess.Popen[str]],
) -> None:
    output, _ = locust("--headless").communicate(timeout=PATIENCE_S)
    assert "no host to send to; accepted: locust --host http://HOST:PORT" in output


def test_without_a_plan_the_run_says_which_file_is_missing(
    target: Target, scenario: Path, locust: Callable[..., subprocess.Popen[str]]
) -> None:
    scenario.with_suffix(".yaml").unlink()
    process = locust("--headless", "--host", target.url)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "scenario.yaml is missing" in output


def test_the_web_ui_starts_a_run_shows_its_requests_and_starts_it_again(
    target: Target, locust: Callable[..., subprocess.Popen[str]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = locust("--host", target.url, "--web-host", "127.0.0.1", "--web-port", str(port))
    base = f"http://127.0.0.1:{port}"
    _wait_until(lambda: _answers(base), process)
    assert requests.get(f"{base}/stats/requests", timeout=5).json()["state"] == "ready"
    for number in (1, 2):
        form = {"user_count": "1", "spawn_rate": "1", "host": target.url}
        assert requests.post(f"{base}/swarm", data=form, timeout=10).json()["success"]
        _wait_until(lambda: target.seen["/a"] == 100 * number, process)  # noqa: B023 - used now
        _wait_until(lambda: _stats(base)["state"] == "stopped", process)
        rows = {row["name"]: row for row in _stats(base)["stats"]}
        assert rows["/a"]["num_requests"] == 100
        assert rows["/a"]["num_failures"] == 0
        assert target.seen["/a"] == 100 * number
    assert process.poll() is None


def test_the_web_uis_stop_button_stops_the_sending(
    target: Target, scenario: Path, locust: Callable[..., subprocess.Popen[str]]
) -> None:
    plan = scenario.with_suffix(".yaml")
    plan.write_text(plan.read_text().replace("duration: 2s", "duration: 60s"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = locust("--host", target.url, "--web-host", "127.0.0.1", "--web-port", str(port))
    base = f"http://127.0.0.1:{port}"
    _wait_until(lambda: _answers(base), process)
    form = {"user_count": "1", "spawn_rate": "1", "host": target.url}
    requests.post(f"{base}/swarm", data=form, timeout=10)
    _wait_until(lambda: target.seen["/a"] > 20, process)
    assert requests.post(f"{base}/stop", timeout=10).json()["success"]
    _wait_until(lambda: _stats(base)["state"] == "stopped", process)
    sent = target.seen["/a"]
    time.sleep(0.5)
    assert target.seen["/a"] == sent


def _wait_until(holds: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert process is None or process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _answers(base: str) -> bool:
    try:
        return requests.get(base, timeout=5).ok
    except requests.ConnectionError:
        return False


def _stats(base: str) -> dict[str, Any]:
    data = requests.get(f"{base}/stats/requests", timeout=5).json()
    assert isinstance(data, dict)
    return data
