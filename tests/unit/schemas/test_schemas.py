"""The published schemas accept what the tool writes and reads, and refuse unknown keys."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from surgeproof.errors import UsageError
from surgeproof.faults.kinds import FAULT_KINDS
from surgeproof.load.arrivals import ARRIVAL_KINDS, COMMON_PARAMETERS
from surgeproof.model import result as model
from surgeproof.model.words import ExitCode, Outcome, Reason, Status
from surgeproof.schemas import SCHEMA_NAMES, read_schema

REPOSITORY = Path(__file__).parents[3]
WINDOW = {"name": "fault:f", "start_s": 10.0, "end_s": 20.0}
QUANTILES = {"p50": 0.1, "p95": 0.2, "p99": None, "max": None}
SIGNS = {
    "n": 9,
    "p50_s": 0.1,
    "p95_s": 0.2,
    "p99_s": None,
    "error_ratio": 0.0,
    "shed_ratio": 0.0,
    "degraded_ratio": 0.5,
    "yield_ratio": 1.0,
}
RESULT: dict[str, Any] = {
    "schema": "surgeproof/result/1",
    "surgeproof": "0.1.0",
    "run": {
        "id": "20230705T230000Z-launch-day-0a1b2c",
        "name": "launch-day",
        "started_at": "2023-07-05T23:00:00.000+00:00",
        "duration_s": 132.0,
        "seed": 1,
    },
    "verdict": {
        "status": "fail",
        "words": "NO-GO",
        "reasons": [{"code": "gate_failed", "message": "gate-1: too slow"}],
    },
    "exit_code": 3,
    "phases": [{"name": "surge", "start_s": 0.0, "end_s": 132.0, "mix": "launch_hour"}],
    "arrivals": {
        "unit": "request",
        "scheduled": 10,
        "sent": 9,
        "late": 1,
        "dropped": 1,
        "lag_p99_s": 0.001,
        "schedule_sha256": "0" * 64,
    },
    "requests": {"sent": 9, "completed": 9, "unfinished": 0},
    "endpoints": [
        {
            "name": "GET /feed",
            "tier": "T0",
            "count": 9,
            "outcomes": {str(outcome): 1 for outcome in Outcome},
            "response_time": QUANTILES,
            "service_time": QUANTILES,
        }
    ],
    "faults": [
        {
            "name": "f",
            "kind": "down",
            "edge": "cache",
            "planned_at_s": 10.0,
            "applied_at_s": 10.1,
            "cleared_at_s": None,
            "verified": False,
            "observed": None,
            "detail": "",
        }
    ],
    "gates": [
        {
            "id": "gate-1",
            "expression": "http.errors: rate < 1%",
            "status": "fail",
            "value": None,
            "limit": 0.01,
            "n": 9,
            "window": WINDOW,
            "message": "in words",
            "label": "",
            "first_breach_s": 11.0,
        }
    ],
    "objectives": [
        {
            "id": "slo:feed",
            "name": "feed",
            "title": "Feed",
            "service": "threads",
            "labels": {"name": "GET /feed"},
            "good_when": "latency <= 1s and outcome in (full, degraded)",
            "target": 0.95,
            "value": 1.0,
            "good": 9,
            "bad": 0,
            "total": 9,
            "budget_spent": 0.0,
            "status": "pass",
            "message": "in words",
            "annotations": {},
        }
    ],
    "ledger": {
        "post": {
            "acked": 1,
            "present": 1,
            "lost": 0,
            "stale": 0,
            "duplicated": 0,
            "indefinite": 0,
            "recovered": 0,
            "unread": 0,
            "lost_keys": [],
            "duplicated_keys": [],
        }
    },
    "recovery": [{"fault": "f", "time_s": None, "censored_s": 9.0, "window": WINDOW}],
    "degradation": [
        {
            "endpoint": "GET /feed",
            "tier": "T0",
            "fault": "f",
            "before": SIGNS,
            "during": SIGNS,
            "after": None,
            "p99_change_s": None,
        }
    ],
    "generator": {
        "cpu_ratio": 0.5,
        "loop_lag_p99_s": None,
        "lag_p99_s": 0.001,
        "dropped_ratio": 0.1,
        "healthy": False,
        "problems": ["too many dropped"],
        "advice": ["raise load.max_in_flight"],
        "waits": {
            "requests": 5,
            "waited": 1,
            "never_sent": 0,
            "wait": QUANTILES,
            "response_time": QUANTILES,
            "service_time": QUANTILES,
            "is_limited": True,
        },
        "processes": [
            {
                "generator": 0,
                "cpu_ratio": 0.5,
                "cpu_most_ratio": 0.9,
                "cores": 2,
                "busy_ratio": 0.6,
                "steal_ratio": None,
                "lag": QUANTILES,
                "loop_lag_p99_s": None,
                "gc_pauses": 3,
                "gc_longest_s": 0.001,
                "gc_total_s": 0.002,
                "files_most": 40,
                "files_limit": 1024,
                "ports_most": 80,
                "ports_limit": 28232,
                "in_flight_most": 9,
                "waited": 1,
                "blocked": [
                    {"journey": "GET /feed", "place": "a.py:3", "count": 2, "longest_s": 0.3}
                ],
            }
        ],
    },
    "target": {
        "cpu_ratio": 1.2,
        "cpu_most_ratio": 1.9,
        "processes": [{"name": "api", "cpu_ratio": 1.2, "cpu_most_ratio": 1.9}],
    },
    "windows": [WINDOW],
    "notes": ["no Prometheus was at hand"],
    "provenance": {"seed": 1},
}


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(read_schema(name))


def launch_day() -> Any:
    return yaml.safe_load((REPOSITORY / "scenarios/launch_day.yaml").read_text())


def objects(data: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every mapping within ``data`` with its path."""
    if isinstance(data, dict):
        yield path or "top", data
        for key, value in data.items():
            yield from objects(value, f"{path}.{key}")
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from objects(value, f"{path}[{index}]")


# Mappings whose keys are the user's own words.
FREE = {".profiles", ".target.env", ".provenance", ".ledger"}
FREE_ENDINGS = (".labels", ".annotations")


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_schema_is_itself_valid_and_has_an_id(name: str) -> None:
    schema = read_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:surgeproof:schema:{name}:1"


def test_an_unknown_schema_is_refused() -> None:
    with pytest.raises(UsageError, match="accepted: plan, result"):
        read_schema("pln")


def test_the_plan_of_launch_day_is_accepted() -> None:
    assert [error.message for error in validator("plan").iter_errors(launch_day())] == []


def test_an_example_of_a_result_is_accepted() -> None:
    assert [error.message for error in validator("result").iter_errors(RESULT)] == []


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_an_unknown_key_is_refused_wherever_it_stands(name: str) -> None:
    example = launch_day() if name == "plan" else RESULT
    checker = validator(name)
    paths = [path for path, _ in objects(example)]
    assert len(paths) > 15
    for number, path in enumerate(paths):
        if path in FREE or path.endswith(FREE_ENDINGS):
            continue
        spoilt = copy.deepcopy(example)
        [*objects(spoilt)][number][1]["nonsense"] = {}
        assert not checker.is_valid(spoilt), f"{path}.nonsense was accepted"


@pytest.mark.parametrize("key", sorted(RESULT))
def test_a_result_without_one_of_its_keys_is_refused(key: str) -> None:
    assert not validator("result").is_valid({k: v for k, v in RESULT.items() if k != key})


@pytest.mark.parametrize(
    ("change", "value"),
    [
        (("timeout",), 300),
        (("endpoints", 0, "tier"), "T9"),
        (("load", "phases", 0, "arrivals"), {"constant": {"rate": 30}}),
        (("faults", 0, "at"), "15s"),
        (("faults", 0, "kind"), "latncy"),
        (("target", "driver"), "cloud"),
        (("load", "phases"), []),
    ],
    ids=["time without unit", "tier", "rate without unit", "moment", "kind", "driver", "no phases"],
)
def test_a_plan_with_a_bad_value_is_refused(change: tuple[Any, ...], value: object) -> None:
    plan = launch_day()
    inner = plan
    for step in change[:-1]:
        inner = inner[step]
    inner[change[-1]] = value
    assert not validator("plan").is_valid(plan)


def test_the_plan_schema_knows_every_fault_and_arrival_kind_with_its_parameters() -> None:
    definitions: Any = read_schema("plan")["$defs"]
    arrivals = definitions["arrival"]["properties"]
    assert {kind: set(body["properties"]) for kind, body in arrivals.items()} == {
        kind.name: {*kind.parameters, *COMMON_PARAMETERS} for kind in ARRIVAL_KINDS.values()
    }
    common = {"name", "edge", "kind", "at", "for", "stream", "toxicity"}
    faults = definitions["fault"]["oneOf"]
    assert {body["title"]: set(body["properties"]) - common for body in faults} == {
        kind.name: set(kind.attributes) for kind in FAULT_KINDS.values()
    }


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (("arrivals",), model.ArrivalCounts),
        (("requests",), model.RequestCounts),
        (("endpoints", "items"), model.EndpointResult),
        (("faults", "items"), model.FaultRecord),
        (("gates", "items"), model.GateResult),
        (("recovery", "items"), model.RecoveryResult),
        (("generator",), model.GeneratorHealth),
        (("generator", "properties", "waits"), model.ClientWaits),
        (("generator", "properties", "processes", "items"), model.GeneratorProcess),
        (("target",), model.TargetProcessors),
        (("target", "properties", "processes", "items"), model.ProcessorUse),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_result_schema_has_the_fields_of_the_model(path: tuple[str, ...], data: Any) -> None:
    part: Any = read_schema("result")["properties"]
    for step in path:
        part = part[step]
    assert set(part["properties"]) == {field.name for field in fields(data)}


def test_the_result_schema_knows_every_word() -> None:
    schema: Any = read_schema("result")
    verdict = schema["properties"]["verdict"]["properties"]
    codes = verdict["reasons"]["items"]["properties"]["code"]["enum"]
    assert set(codes) == {str(reason) for reason in Reason}
    assert set(schema["properties"]["exit_code"]["enum"]) == {int(code) for code in ExitCode}
    assert set(schema["$defs"]["status"]["enum"]) == {str(status) for status in Status}
