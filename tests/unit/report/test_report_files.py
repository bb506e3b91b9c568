"""junit.xml, summary.md and metrics.txt."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from importlib import resources
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from surgeproof.journal.folder import RunFolder
from surgeproof.report.junit import render_junit
from surgeproof.report.markdown import MOST_BYTES, render_markdown
from surgeproof.report.openmetrics import render_openmetrics
from surgeproof.report.run import Run, read_run

Make = Callable[..., RunFolder]


def test_the_hand_made_result_is_one_that_the_schema_knows(whole_run: RunFolder) -> None:
    text = resources.files("surgeproof.schemas").joinpath("result.schema.json").read_text()
    jsonschema.Draft202012Validator(json.loads(text)).validate(whole_run.read_json("result.json"))


def families_of(run: Run) -> dict[str, Metric]:
    """Return what an OpenMetrics parser that is not ours reads."""
    parse: Callable[[str], Iterable[Metric]] = text_string_to_metric_families
    return {family.name: family for family in parse(render_openmetrics(run))}


def suite_of(folder: RunFolder) -> ET.Element:
    suite = ET.fromstring(render_junit(read_run(folder))).find("testsuite")  # noqa: S314 - ours
    assert suite is not None
    return suite


def test_junit_has_a_case_for_each_gate_and_adds_up(make: Make) -> None:
    suite = suite_of(make(redis_p99_s=0.62))
    cases = {case.get("name"): case for case in suite.findall("testcase")}
    assert len(cases) == 8 == int(suite.get("tests") or 0)
    assert (suite.get("failures"), suite.get("errors")) == ("1", "1")
    failure = cases["feed-p99-redis"].find("failure")
    assert failure is not None
    assert failure.get("type") == "breach"
    assert cases["feed-p99-redis"].get("classname") == "fault:redis-down"
    error = cases["like-p99"].find("error")
    assert error is not None
    assert error.get("type") == "inconclusive"
    assert len(list(cases["yield"])) == 0


def test_junit_of_a_run_that_cannot_be_trusted_is_not_green(make: Make) -> None:
    reasons = [{"code": "rollback_failed", "message": "redis-down\x00 stayed"}]
    verdict = {"status": "inconclusive", "words": "NO VERDICT", "reasons": reasons}
    suite = suite_of(make(result={"verdict": verdict, "gates": [], "objectives": []}))
    error = suite.find("testcase/error")
    assert error is not None
    assert (error.get("type"), error.get("message")) == ("rollback_failed", "redis-down stayed")


def test_junit_of_a_killed_run_has_one_error(make: Make) -> None:
    suite = suite_of(make(is_judged=False))
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")


def test_the_summary_says_verdict_gates_and_faults(make: Make) -> None:
    text = render_markdown(read_run(make(redis_p99_s=0.62)))
    assert text.startswith("## ❌ NO-GO — 1 of 8 gates failed")
    gates = text[text.index("### Gates") :]
    assert gates.index("feed-p99-redis") < gates.index("like-p99") < gates.index("yield")
    assert "### Faults" in text


def test_the_summary_stays_below_its_limit_and_says_what_it_left_out(make: Make) -> None:
    endpoints = tuple((f"GET /v1/{'x' * 120}/{n}", "T0", 1, 0.01) for n in range(400))
    text = render_markdown(read_run(make(endpoints=endpoints, rate_per_s=20.0)))
    assert len(text.encode()) <= MOST_BYTES
    assert "Some parts were left out" in text
    assert "### Gates" in text


def test_markdown_in_a_name_stays_text(make: Make) -> None:
    evil = "GET /|a|<b>`x`[y](z) @team ![i](j) https://x.test"
    text = render_markdown(
        read_run(make(endpoints=((evil, "T0", 1, 0.02),), is_judged=False, rate_per_s=5.0))
    )
    row = next(line for line in text.splitlines() if "team" in line)
    assert "<b>" not in row
    assert "@team" not in row
    assert "\\[y\\](z)" in row
    assert "https://" not in row
    assert len(re.findall(r"(?<!\\)\|", row)) == 10


def test_metrics_are_open_metrics_and_the_numbers_are_the_runs(whole_run: RunFolder) -> None:
    run = read_run(whole_run)
    families = families_of(run)
    counts = {
        sample.labels["le"]: sample.value
        for sample in families["surgeproof_response_time_seconds"].samples
        if sample.name.endswith("_bucket") and sample.labels["name"] == "GET /v1/trending"
    }
    timed = run.samples.name.equal("GET /v1/trending") & ~run.samples.outcome.equal("shed")
    assert counts["+Inf"] == timed.sum()
    assert run.result is not None
    arrivals = {
        sample.labels["state"]: sample.value for sample in families["surgeproof_arrivals"].samples
    }
    assert arrivals["scheduled"] == run.result.arrivals.scheduled
    assert {sample.value for sample in families["surgeproof_gate_passed"].samples} == {0.0, 1.0}


def test_metrics_of_a_killed_run_and_of_wild_names_still_parse(make: Make) -> None:
    evil = 'GET /"quoted"\\back\nline'
    run = read_run(make(endpoints=((evil, "T0", 1, 0.02),), is_judged=False, rate_per_s=5.0))
    samples = families_of(run)["surgeproof_requests"].samples
    assert {sample.labels["name"] for sample in samples} == {evil}


@pytest.mark.parametrize("render", [render_junit, render_markdown, render_openmetrics])
def test_an_empty_run_can_be_told_too(render: Callable[..., str], make: Make) -> None:
    assert render(read_run(make(rate_per_s=0.0, is_judged=False)))
