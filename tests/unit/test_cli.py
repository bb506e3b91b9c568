"""The command line: codes and messages, and no heavy import for a light command."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from surgeproof import __version__, cli

HEAVY = ("locust", "gevent", "matplotlib", "docker", "pandas", "pyarrow")


def test_importing_the_command_line_pulls_in_nothing_heavy():
    code = f"import surgeproof.cli, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


def test_version_prints_for_people_and_for_programs(capsys):
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out == f"surgeproof {__version__}\n"
    assert cli.main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["surgeproof"] == __version__


def test_a_plan_that_is_missing_is_a_usage_error(capsys, tmp_path):
    assert cli.main(["validate", str(tmp_path / "gone.yaml")]) == 2
    assert "gone.yaml" in capsys.readouterr().err


def test_validate_looks_at_every_plan_before_it_says_no(capsys, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\nnam: x\n")
    assert cli.main(["validate", str(bad), "scenarios/launch_day.yaml"]) == 2
    captured = capsys.readouterr()
    assert "bad.yaml:2:1: nam: " in captured.err
    assert "did you mean" in captured.err
    assert "scenarios/launch_day.yaml: valid" in captured.out


def test_a_folder_that_is_no_run_is_a_usage_error(capsys, tmp_path):
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "no run folder" in capsys.readouterr().err


def test_a_bug_is_an_internal_error_and_shown_whole(capsys, monkeypatch):
    def explode(_: object) -> int:
        raise RuntimeError("boom")

    monkeypatch.setattr(cli, "_version", explode)
    assert cli.main(["version"]) == 1
    assert "RuntimeError: boom" in capsys.readouterr().err


def test_an_unknown_command_exits_with_the_usage_code(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["rehears"])
    assert caught.value.code == 2
    assert "rehears" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "validate", "doctor", "report", "version"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    assert command in capsys.readouterr().out
