"""What a command loads before it begins: nothing that only other commands need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 60.0
# Runs a command and prints what it has loaded by its end.
_PROBE = """\
import json, sys
from surgeproof.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def loaded_by(*arguments: str) -> tuple[int, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, {name.partition(".")[0] for name in modules} | set(modules)


def test_validating_a_plan_loads_no_engine_no_drawing_and_no_client() -> None:
    code, modules = loaded_by("validate", "scenarios/launch_day.yaml")
    assert code == 0
    heavy = {
        *("locust", "gevent", "uvloop", "matplotlib", "pyarrow", "jsonschema", "requests"),
        *("psutil", "http.client", "surgeproof.stack.processes", "surgeproof.load.engine"),
    }
    assert modules & heavy == set()


@pytest.mark.parametrize("command", [("version",), ("report", "no/such/run")])
def test_what_needs_no_numbers_loads_none(command: tuple[str, ...]) -> None:
    _, modules = loaded_by(*command)
    assert modules & {"locust", "gevent", "numpy", "matplotlib", "pyarrow", "yaml"} == set()


def test_reading_a_run_loads_no_drawing(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"schema": "another"}')
    code, modules = loaded_by("report", str(tmp_path))
    assert code == 2
    assert modules & {"locust", "gevent", "matplotlib", "jinja2"} == set()
