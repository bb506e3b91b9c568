"""What is published works alone: the built wheel in an empty environment, far from the checkout."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from surgeproof import __version__
from surgeproof.schemas import read_schema

pytestmark = [pytest.mark.e2e, pytest.mark.full]

REPOSITORY = Path(__file__).parents[2]
# A registry may be slow, and the machine busy. No assertion hangs on it.
PATIENCE_S = 180.0

PLAN = """\
version: 1
name: bare
seed: 1
target: {driver: external, base_url: "http://127.0.0.1:8000"}
endpoints:
  - {name: "GET /index.html", tier: T0, deadline: 1s}
load:
  file: reader.py
  phases:
    - {name: all, duration: 3s, arrivals: {poisson: {rate: 30/s}}}
gates:
  - "http.errors: rate < 1%"
  - 'http.response_time{name="GET /index.html"}: p50 < 1s'
"""
SCENARIO = """\
from surgeproof.load import OpenLoopUser, journey


class Reader(OpenLoopUser):
    @journey("GET /index.html")
    async def read(self) -> None:
        await self.client.get("/index.html", check=lambda answer: "hello" in answer.text)
"""


@dataclass(frozen=True)
class Installed:
    """An environment with nothing but the wheel and what it depends on."""

    wheel: Path
    scripts: Path
    folder: Path

    def call(
        self, program: str, *arguments: str, environ: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.scripts / program), *arguments],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **(environ or {})},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )


def _find_uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        _do_without("no uv: neither beside this Python nor on PATH")
    return str(found)


def _do_without(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _make(command: Sequence[str], cwd: Path) -> None:
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode == 0:
        return
    # Without a registry there is nothing to install from; any other failure is one of ours.
    if any(word in done.stderr for word in ("dns error", "error sending request", "Connect")):
        _do_without(f"no package registry: {done.stderr.strip().splitlines()[-1]}")
    pytest.fail(f"{' '.join(command)}\n{done.stderr}")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    uv = _find_uv()
    root = tmp_path_factory.mktemp("wheel")
    _make([uv, "build", "--quiet", "--wheel", "--out-dir", str(root)], REPOSITORY)
    (wheel,) = root.glob("*.whl")
    empty, folder = root / "empty", root / "elsewhere"
    folder.mkdir()
    _make([uv, "venv", "--quiet", "--python", sys.executable, str(empty)], root)
    python = str(empty / "bin" / "python")
    _make([uv, "pip", "install", "--quiet", "--python", python, str(wheel)], root)
    return Installed(wheel, empty / "bin", folder)


@pytest.fixture
def bare_server(tmp_path: Path) -> Iterator[str]:
    """The plainest server there is: files of a folder, one connection for each request."""
    (tmp_path / "index.html").write_text("hello")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    server = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait(10)


@pytest.fixture
def plan(installed: Installed) -> str:
    (installed.folder / "plan.yaml").write_text(PLAN)
    (installed.folder / "reader.py").write_text(SCENARIO)
    return "plan.yaml"


def test_the_installed_tool_rehearses_a_bare_server(
    installed: Installed, plan: str, bare_server: str
) -> None:
    begun = time.monotonic()
    done = installed.call(
        "surgeproof", "run", plan, "--set", f"target.base_url={bare_server}", "--out", "runs"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("GO  bare\n")
    assert time.monotonic() - begun < PATIENCE_S
    run = installed.folder / "runs" / "latest"
    result = json.loads((run / "result.json").read_text())
    jsonschema.validate(result, read_schema("result"))
    assert result["surgeproof"] == __version__
    (row,) = result["endpoints"]
    assert row["outcomes"]["full"] == row["count"] == result["arrivals"]["scheduled"] > 50
    assert "<svg" in (run / "report.html").read_text()
    again = installed.call("surgeproof", "report", "runs/latest")
    assert again.returncode == 0, again.stderr


def test_the_installed_tool_says_its_version(installed: Installed) -> None:
    done = installed.call("surgeproof", "version")
    assert (done.returncode, done.stdout) == (0, f"surgeproof {__version__}\n")


def test_the_installed_tool_checks_plans(installed: Installed, plan: str) -> None:
    assert installed.call("surgeproof", "validate", plan).returncode == 0
    (installed.folder / "bad.yaml").write_text(PLAN.replace("duration: 3s", "duration: 3"))
    bad = installed.call("surgeproof", "validate", "bad.yaml")
    assert bad.returncode == 2
    assert "bad.yaml:10:29: load.phases[0].duration: '3'" in bad.stderr


def test_the_doctor_needs_no_servers_where_no_plan_does(installed: Installed) -> None:
    done = installed.call("surgeproof", "doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert findings["loopback"]["level"] == "ok"
    redis = findings["redis-server"]
    assert redis["level"] == "warn"
    assert "driver: processes" in redis["fix"]
    assert "pip install" in redis["fix"]


def test_the_command_line_stays_light(installed: Installed) -> None:
    program = "import sys, surgeproof.cli; print(*sorted(sys.modules))"
    loaded = set(installed.call("python", "-c", program).stdout.split())
    assert "surgeproof.cli" in loaded
    heavy = {"locust", "gevent", "matplotlib", "docker", "pandas", "numpy", "pyarrow", "requests"}
    assert loaded & heavy == set()


def test_the_wheel_holds_the_package_and_nothing_else(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"surgeproof", f"surgeproof-{__version__}.dist-info"}
    for needed in ("py.typed", "schemas/plan.schema.json", "schemas/result.schema.json"):
        assert f"surgeproof/{needed}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.endswith((".pyc", ".orig", ".part"))]
