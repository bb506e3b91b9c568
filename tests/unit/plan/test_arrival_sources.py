"""Arrivals from files: read, kept with the run, and refused with file and line when wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from surgeproof.load.handover import LoadOrder
from surgeproof.load.schedule import build_schedule
from surgeproof.model.plan import ArrivalPart, Plan
from surgeproof.plan import load_plan

Load = Callable[..., Plan]
Mistakes = Callable[..., list[str]]

WARMUP = "{constant: {rate: 10/s}}"
TABLE = "at,requests\n2026-01-31T18:00:00Z,10\n2026-01-31T18:00:05Z,40\n2026-01-31T18:00:10Z,0\n"
ANSWER = {
    "status": "success",
    "data": {
        "resultType": "matrix",
        "result": [{"metric": {}, "values": [[1769882400.25, "10"], [1769882410.25, "30"]]}],
    },
}


def first_part(plan: Plan) -> ArrivalPart:
    return plan.load.phases[0].arrivals[0]


def column(plan: Plan, name: str) -> list[float]:
    return [float(value) for value in first_part(plan).columns[name].values]


def test_a_table_is_read_by_the_names_of_its_columns(load: Load, folder: Path) -> None:
    (folder / "day.csv").write_text(TABLE)
    plan = load((WARMUP, "{csv: {file: day.csv, time: at, rate: requests, scale: 2}}"))
    assert column(plan, "times") == [0, 5, 10]
    assert column(plan, "rates") == [10, 40, 0]
    assert first_part(plan).scale == 2


@pytest.mark.parametrize("text", ["0,1\n3,2\n", "t,r\r\n7,1\r\n10,2\r\n", "\ufefft,r\n7,1\n\n10,2"])
def test_a_table_needs_no_names_and_no_titles(load: Load, folder: Path, text: str) -> None:
    (folder / "day.csv").write_bytes(text.encode())
    plan = load((WARMUP, "{csv: {file: day.csv}}"))
    assert (column(plan, "times"), column(plan, "rates")) == ([0, 3], [1, 2])


@pytest.mark.parametrize(
    ("name", "text", "more"),
    [
        ("log.txt", "100.5\n100.75\n\n103\n", ""),
        ("log.csv", "who,when\na,100.5\nb,100.75\nc,103\n", ", column: when"),
        ("log.csv", "100.5\n100.75\n103\n", ""),
        ("log.jsonl", '{"time": 100.5}\n{"time": 100.75}\n{"time": 103}\n', ""),
        ("log.jsonl", '{"t": "1970-01-01T00:00:01.5Z"}\n{"t": 1.75}\n{"t": 4}\n', ", column: t"),
    ],
    ids=["lines", "column of CSV", "first column", "JSON lines", "key and moments"],
)
def test_a_recording_is_read_from_lines_csv_and_json(
    load: Load, folder: Path, name: str, text: str, more: str
) -> None:
    (folder / name).write_text(text)
    assert column(load((WARMUP, f"{{recorded: {{file: {name}{more}}}}}")), "times") == [
        0,
        0.25,
        2.5,
    ]


def test_moments_of_the_calendar_keep_their_nanoseconds(load: Load, folder: Path) -> None:
    (folder / "log.txt").write_text("1769882400.000000001\n1769882400.000000003\n")
    plan = load((WARMUP, "{recorded: {file: log.txt}}"))
    assert column(plan, "times") == [0, 2e-9]


def test_a_saved_answer_of_prometheus_is_read(load: Load, folder: Path) -> None:
    (folder / "saved.json").write_text(json.dumps(ANSWER))
    plan = load((WARMUP, "{prometheus: {file: saved.json, random: true}}"))
    assert (column(plan, "times"), column(plan, "rates")) == ([0, 10], [10, 30])
    assert first_part(plan).is_random


def test_the_run_keeps_what_was_read_and_repeats_it_when_the_file_is_gone(
    load: Load, folder: Path
) -> None:
    (folder / "day.csv").write_text(TABLE)
    plan = load((WARMUP, "[{constant: {rate: 1/s}}, {csv: {file: day.csv, random: true}}]"))
    ((name, text),) = plan.arrival_files.items()
    sha256 = hashlib.sha256(TABLE.encode()).hexdigest()
    body = yaml.safe_load(plan.effective)["load"]["phases"][0]["arrivals"][1]["csv"]
    assert body == {"file": name, "random": True, "sha256": sha256}

    run = folder / "run"
    run.mkdir()
    (run / name).write_text(text)
    (run / "effective.yaml").write_text(plan.effective)
    (folder / "day.csv").unlink()
    again = load_plan(run / "effective.yaml")
    assert again.effective == plan.effective
    one, other = build_schedule(plan.load, 7), build_schedule(again.load, 7)
    assert one.sha256 == other.sha256


def test_an_order_carries_the_numbers_and_no_file(load: Load, folder: Path) -> None:
    (folder / "day.csv").write_text(TABLE)
    plan = load((WARMUP, "{csv: {file: day.csv, random: true, scale: 3}}"))
    order = LoadOrder.of_plan(plan, "http://h:1", None)
    (folder / "day.csv").unlink()
    again = LoadOrder.from_json(order.to_json())
    assert again == order
    assert build_schedule(again.load, 7).sha256 == build_schedule(plan.load, 7).sha256


def test_a_file_that_has_changed_is_refused_where_its_fingerprint_is_given(
    mistakes: Mistakes, folder: Path
) -> None:
    (folder / "day.csv").write_text(TABLE)
    (found,) = mistakes((WARMUP, f"{{csv: {{file: day.csv, sha256: {'0' * 64}}}}}"))
    assert "arrivals.csv.sha256: the file has changed: it is " in found


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.csv", "", ["x.csv: load.phases[0].arrivals.csv.file: is empty; accepted: 2 or more"]),
        ("x.csv", "t,r\n", ["is empty; accepted: 2 or more"]),
        ("x.csv", "0,1\n", ["has 1 row only; accepted: 2 or more"]),
        (
            "x.csv",
            "t,r\n0,1\nx,2\n2,-1\n3,nan\n1,5\n4\n5,many\n",
            [
                "x.csv:3:1: load.phases[0].arrivals.csv.file: 'x' is no time",
                "x.csv:4:1: load.phases[0].arrivals.csv.file: '-1' is no rate",
                "x.csv:5:1: load.phases[0].arrivals.csv.file: 'nan' is no rate",
                "x.csv:6:1: load.phases[0].arrivals.csv.file: the time 1 is out of order",
                "x.csv:7:1: load.phases[0].arrivals.csv.file: has 1 cells; accepted: 2",
                "x.csv:8:1: load.phases[0].arrivals.csv.file: 'many' is no rate",
            ],
        ),
        ("x.csv", '0,"1\n', ["is no CSV: unexpected end of data"]),
        ("x.csv", "0,1\n\x00,2\n3,4\n", ["x.csv:2:1"]),
        ("x.jsonl", '{"time": 1}\n{\n{"when": 2}\n', ["x.jsonl:2:1", "x.jsonl:3:1"]),
        ("x.txt", "1\n3\n2\n", ["x.txt:3:1: load.phases[0].arrivals.recorded.file: the time 2 is"]),
        ("x.json", "{", ["x.json:1:1: load.phases[0].arrivals.prometheus.file: is no JSON"]),
        ("x.json", "[]", ["is no answer of Prometheus to a range query"]),
        ("x.json", '{"data": {"result": []}}', ["holds 0 series; accepted: one"]),
        (
            "x.json",
            json.dumps({"data": {"result": ANSWER["data"]["result"] * 2}}),  # type: ignore[index]
            ["holds 2 series; accepted: one"],
        ),
        (
            "x.json",
            '{"data": {"result": [{"values": [[1, "NaN"], [2, "1"]]}]}}',
            ["value 0 of the series: 'NaN' is no rate"],
        ),
    ],
)
def test_every_wrong_line_of_a_file_is_named(
    mistakes: Mistakes, folder: Path, name: str, text: str, expected: list[str]
) -> None:
    (folder / name).write_text(text)
    kind = {"csv": "csv", "json": "prometheus"}.get(name.rpartition(".")[2], "recorded")
    found = mistakes((WARMUP, f"{{{kind}: {{file: {name}}}}}"))
    assert len(found) == len(expected)
    assert all(part in line for part, line in zip(expected, found, strict=True))


def test_a_file_of_nonsense_is_told_about_in_its_first_lines_only(
    mistakes: Mistakes, folder: Path
) -> None:
    (folder / "x.txt").write_text("nonsense\n" * 1000)
    found = mistakes((WARMUP, "{recorded: {file: x.txt}}"))
    assert len(found) == 11
    assert found[-1].endswith("and more of its kind from here")


def test_a_file_that_would_fill_the_memory_is_not_read(mistakes: Mistakes, folder: Path) -> None:
    with (folder / "x.txt").open("wb") as file:
        file.truncate(2**40)  # a hole, which takes no room on the disk
    (found,) = mistakes((WARMUP, "{recorded: {file: x.txt}}"))
    assert "recorded.file: x.txt has 1099511627776 bytes; accepted: 268435456 at most" in found


@pytest.mark.parametrize(
    ("arrivals", "message"),
    [
        ("{csv: {file: none.csv}}", "csv.file: there is no file 'none.csv'"),
        ("{csv: {}}", "csv.file: is required"),
        ("{csv: {file: day.csv, rate: rps}}", "unknown column 'rps'; accepted: at, requests"),
        ("{csv: {file: day.csv, interpolation: cubic}}", "unknown interpolation 'cubic'"),
        ("{csv: {file: day.csv, over: 5}}", "csv.over: '5' is no duration, the unit is missing"),
        ("{prometheus: {url: 'http://x'}}", "prometheus.query: is required; accepted: a file, or"),
        ("{prometheus: {file: day.csv, step: 5s}}", "prometheus.step: stands beside a file"),
        ("{constant: {rate: 1/s, random: 1}}", "constant.random: found '1', accepted: true or"),
        ("{poisson: {rate: 1/s, random: false}}", "poisson.random: poisson is always random"),
        ("{constant: {rate: 1/s, scale: 0}}", "constant.scale is 0; accepted: a number above 0"),
        ("{constant: {rate: 1/s, scale: -1}}", "constant.scale is -1; accepted"),
        ("{constant: {rate: -1/s}}", "constant.rate: '-1/s' is no rate"),
        ("{steps: {rates: [1/s, 2]}}", "steps.rates[1]: '2' is no rate, the unit is missing"),
        ("{steps: {rates: []}}", "steps is empty"),
        ("{steps: {rates: 5/s}}", "steps.rates: found '5/s', accepted: a list"),
        (
            "{constant: {rate: 999999999/s}}",
            "constant: makes 1e+10 arrivals; accepted: 100,000,000",
        ),
    ],
)
def test_arrivals_that_cannot_be_are_told_with_line_and_key(
    mistakes: Mistakes, folder: Path, arrivals: str, message: str
) -> None:
    (folder / "day.csv").write_text(TABLE)
    found = mistakes((WARMUP, arrivals))
    assert any(message in line for line in found), found
