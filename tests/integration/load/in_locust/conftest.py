"""Locust started as a person would, with a scenario of three journeys beside its plan."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

# Locust starts in a second or two; the machine may be busy with other suites.
PATIENCE_S = 90.0

SCENARIO = """
from locust import {imports}
from surgeproof.load import OpenLoopUser, journey, request


class Someone(OpenLoopUser):
    @tag("read")
    @journey("GET /a")
    async def read(self):
        await self.client.get("/a")

    @journey("POST /b")
    async def write(self):
        await self.client.post("/b")

    trending = request("GET", "/c", tags=["read", "fast"])

{more}
"""

PLAN = """
version: 1
name: by-hand
seed: 5
target: {{driver: external, base_url: "http://127.0.0.1:1"}}
endpoints:
  - {{name: "GET /a", tier: T0, deadline: 1s}}
load:
  file: scenario.py
  mix: mix.toml
  phases:
    - {{name: one, duration: {duration_s}s, arrivals: {{constant: {{rate: {rate}/s}}}}}}
gates:
  - 'http.errors: rate < 50%'
"""

MIX = '[all]\n"GET /a" = 2\n"POST /b" = 1\n"GET /c" = 1\n'


class Running:
    """A Locust process, and its web UI if it has one."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self._output: str | None = None

    def output(self) -> str:
        """Wait for the process's end and return what it wrote."""
        if self._output is None:
            self._output, _ = self.process.communicate(timeout=PATIENCE_S)
        return self._output

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            return requests.get(self.url, timeout=5).ok
        except requests.ConnectionError:
            return False

    def statistics(self) -> dict[str, Any]:
        data = requests.get(f"{self.url}/stats/requests", timeout=5).json()
        assert isinstance(data, dict)
        return data


@pytest.fixture
def locust(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start ``locust -f scenario.py``; torn down whatever happens."""
    started: list[Running] = []

    def start(
        *arguments: str,
        more: str = "",
        imports: str = "tag",
        duration_s: float = 2,
        rate: int = 40,
        has_mix: bool = True,
    ) -> Running:
        file = tmp_path / "scenario.py"
        file.write_text(SCENARIO.format(more=more, imports=imports))
        plan = PLAN.format(duration_s=duration_s, rate=rate)
        file.with_suffix(".yaml").write_text(plan if has_mix else plan.replace("  mix:", "  #"))
        (tmp_path / "mix.toml").write_text(MIX)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        ui: tuple[str, ...] = ("--headless",)
        if "--headless" in arguments or "--ui" in arguments:
            ui = ()
        web = ("--web-host", "127.0.0.1", "--web-port", str(port)) if "--ui" in arguments else ()
        given = tuple(each for each in arguments if each != "--ui")
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LOCUST_", "SURGEPROOF_"))
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(file), *ui, *web, *given],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(Running(process, f"http://127.0.0.1:{port}"))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
        if running.process.stdout is not None:
            running.process.stdout.close()
