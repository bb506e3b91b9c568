"""Slices of the wide events: weighted by what each event stands for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from target_app.slice import main


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    request = {"event": "request", "service": "gateway", "degraded": "", "calls": 2, "tier": "T0"}
    events = [
        {**request, "at": 100.0 + number, "route": "/a", "status": 200, "sample_rate": 10,
         "duration_ms": 10.0 * number}
        for number in range(1, 5)
    ]  # fmt: skip
    bad = {"route": "/b", "status": 503, "sample_rate": 1, "duration_ms": 7.0}
    events += [{**request, "at": 120.0, **bad, "degraded": "feed", "calls": 4}]
    lines = [json.dumps(each) for each in events]
    (tmp_path / "gateway.log").write_text("\n".join([*lines[:3], "no json at all", *lines[3:]]))
    (tmp_path / "feed.log").write_text(json.dumps({"event": "started", "at": 1.0}) + "\n")
    return tmp_path


def cut(logs: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, object]]:
    assert main(["--logs", str(logs), "--json", *options]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_counts_are_weighted_and_shares_are_of_them(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual, bad = cut(logs, capsys, "--group-by", "route")
    assert (usual["route"], usual["requests"], usual["p50_ms"]) == ("/a", 40, 25.0)
    assert (bad["requests"], bad["error_pct"], bad["degraded_pct"]) == (1, 100.0, 100.0)
    assert bad["calls"] == 4


def test_a_slice_can_be_cut_by_time_and_by_a_condition(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = cut(logs, capsys, "--group-by", "", "--bucket", "2s", "--where", "status = 200")
    assert [(row["bucket"], row["requests"]) for row in rows] == [(100, 10), (102, 20), (104, 10)]


def test_the_table_is_for_people(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--logs", str(logs), "--group-by", "route,status"]) == 0
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["route", "status", "requests"]
    assert first.split()[:3] == ["/a", "200", "40"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--group-by", "password"], "--group-by password: no such column"),
        (["--bucket", "soon"], "--bucket 'soon' is no duration"),
        (["--where", "status ="], "--where 'status ='"),
    ],
)
def test_a_bad_question_is_told_by_its_option(
    logs: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main(["--logs", str(logs), *options]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_logs_and_a_slice_without_events_say_so(
    tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["--logs", str(empty)]) == 2
    assert "no file *.log" in capsys.readouterr().err
    assert main(["--logs", str(logs), "--where", "status = 404"]) == 1
    assert "no request was logged" in capsys.readouterr().err
