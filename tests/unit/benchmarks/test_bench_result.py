"""The result as JSON and as Markdown; the committed result is such a file too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchmarks.__main__ import main
from benchmarks.page import page, short_table
from benchmarks.result import Result
from benchmarks.stall import ResponseTimes
from benchmarks.tables.stalled import StallRow
from benchmarks.targets import Tables

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


def validate(data: Any) -> None:
    schema = json.loads((RESULTS / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema)


def test_a_result_follows_the_schema(result: Result) -> None:
    validate(json.loads(result.to_json()))


def test_an_empty_result_follows_the_schema_and_has_a_page(result: Result) -> None:
    empty = replace(result, tables=Tables())
    validate(json.loads(empty.to_json()))
    assert "## Left out" in page(empty.to_data())


def test_a_row_with_an_unknown_key_breaks_the_schema(result: Result) -> None:
    data = json.loads(result.to_json())
    data["closed"][0]["requests"] = 1
    with pytest.raises(jsonschema.ValidationError):
        validate(data)


def test_the_committed_result_follows_the_schema() -> None:
    latest = RESULTS / "latest.json"
    validate(json.loads(latest.read_text()))
    assert main(["--table"]) == 0


def test_an_attempt_that_never_ended_is_null_and_no_number(result: Result) -> None:
    endless = StallRow("k6", ResponseTimes(5, 0.1, 0.2, 0.3, float("inf")), 5, 1, None)
    data = replace(result, tables=Tables(stall=(endless,))).to_data()
    validate(data)
    assert data["stall"][0]["reported"]["max_s"] is None
    assert "300 ms |        - |" in page(data)


def test_the_page_names_where_numbers_come_from_and_what_is_missing(result: Result) -> None:
    text = page(result.to_data())
    for part in (
        "no PGO, GIL",
        "timerfd",
        "0.1 before, 1.0 after",
        "vegeta 12.13.0",
        "- oha: oha 1.16.0 is not installed",
        "**no** |",
    ):
        assert part in text


def test_the_readme_table_has_a_row_for_each_tool_and_gaps_where_nothing_was_measured(
    result: Result,
) -> None:
    rows = [line for line in short_table(result.to_data()).splitlines() if line.startswith("|")]
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in rows[2:]
    }
    assert cells["surgeproof"] == ["60,000", "0.20 ms", "32,000", "4,000"]
    assert cells["vegeta"] == ["30,000", "1.00 ms", "6,000", "-"]
    assert cells["k6 1.1"] == ["12,000", "-", "-", "-"]
