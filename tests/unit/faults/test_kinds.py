"""The table of fault kinds: what is valid, what is refused and in which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from surgeproof.errors import UsageError
from surgeproof.faults.kinds import (
    FAULT_KINDS,
    complete_attributes,
    parse_attribute,
    validate_attributes,
    validate_fault,
)
from surgeproof.model.plan import Fault

SLOW = Fault("slow", "graph-pg", "latency", 10.0, 5.0, {"latency": 100})


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        pytest.param("latency", {"latency": 120}, id="latency alone"),
        pytest.param("latency", {"latency": 0, "jitter": 5}, id="jitter alone"),
        pytest.param("latency", {"latency": 3_600_000}, id="latency at its bound"),
        pytest.param("bandwidth", {"rate": 1}, id="the smallest rate that passes data"),
        pytest.param("timeout", {}, id="a timeout that never closes"),
        pytest.param("reset_peer", {"timeout": 2000}, id="the longest reset that can be undone"),
        pytest.param("slow_close", {"delay": 1}, id="slow close"),
        pytest.param("slicer", {"average_size": 1}, id="slices of one byte"),
        pytest.param("slicer", {"average_size": 8, "size_variation": 7}, id="variation at bound"),
        pytest.param("limit_data", {"bytes": 0}, id="closed at the first byte"),
        pytest.param("down", {}, id="down needs nothing"),
    ],
)
def test_valid_attributes_are_accepted(kind: str, attributes: dict[str, int]) -> None:
    assert validate_attributes(kind, attributes) == []


@pytest.mark.parametrize(
    ("kind", "attributes", "words"),
    [
        pytest.param("latency", {}, "needs latency, in ms", id="required attribute missing"),
        pytest.param("latency", {"latency": 0}, "delays nothing", id="latency without effect"),
        pytest.param("latency", {"latency": -1}, "is -1 ms", id="negative latency"),
        pytest.param(
            "latency", {"latency": 5, "jiter": 1}, "did you mean jitter?", id="misspelt attribute"
        ),
        pytest.param("latency", {"latency": 3_600_001}, "3600000", id="latency above its bound"),
        pytest.param("bandwidth", {"rate": 0}, "is 0 KB/s", id="rate that stalls the server"),
        pytest.param("bandwidth", {"rate": -1}, "is -1 KB/s", id="rate that ends the server"),
        pytest.param("slicer", {}, "needs average_size", id="slicer that ends the server"),
        pytest.param("slicer", {"average_size": 0}, "is 0 bytes", id="slices of nothing"),
        pytest.param(
            "slicer",
            {"average_size": 4, "size_variation": 4},
            "less than average_size (4)",
            id="variation as large as the slice",
        ),
        pytest.param("reset_peer", {"timeout": 2001}, "0 to 2000", id="reset too long to undo"),
        pytest.param("down", {"latency": 5}, "accepted: none", id="down takes no attribute"),
        pytest.param("noop", {}, "unknown fault kind 'noop'", id="kind without effect"),
        pytest.param("latencey", {}, "did you mean latency?", id="misspelt kind"),
    ],
)
def test_attributes_that_would_harm_or_do_nothing_are_refused(
    kind: str, attributes: dict[str, int], words: str
) -> None:
    problems = validate_attributes(kind, attributes)
    assert len(problems) == 1
    assert words in problems[0]


def test_all_mistakes_of_a_fault_are_told_at_once() -> None:
    bad = replace(
        SLOW, edge="a/b", stream="sideways", toxicity=1.5, attributes={"latency": -1, "jiter": 2}
    )
    problems = " | ".join(validate_fault(bad))
    for words in ("jitter?", "-1 ms", "'a/b'", "'sideways'", "1.5"):
        assert words in problems


@pytest.mark.parametrize("toxicity", [0.0, -0.1, 1.0001, float("nan")])
def test_a_toxicity_outside_of_its_range_is_refused(toxicity: float) -> None:
    assert validate_fault(replace(SLOW, toxicity=toxicity))


def test_a_proxy_cannot_be_down_for_a_share_of_connections() -> None:
    assert validate_fault(replace(SLOW, kind="down", attributes={}, toxicity=0.5))
    assert validate_fault(replace(SLOW, kind="down", attributes={})) == []


def test_left_out_attributes_take_their_default() -> None:
    assert complete_attributes("slicer", {"average_size": 8}) == {
        "average_size": 8,
        "size_variation": 0,
        "delay": 0,
    }


@pytest.mark.parametrize(
    ("kind", "name", "text", "number"),
    [
        pytest.param("latency", "latency", "120ms", 120, id="milliseconds"),
        pytest.param("latency", "jitter", "1.5s", 1500, id="seconds as milliseconds"),
        pytest.param("slicer", "delay", "2ms", 2000, id="slicer's delay is in microseconds"),
        pytest.param("bandwidth", "rate", "64KB/s", 64, id="kilobytes of 1000 per second"),
        pytest.param("bandwidth", "rate", "2MB/s", 2000, id="megabytes per second"),
        pytest.param("limit_data", "bytes", "50KiB", 51200, id="bytes"),
        pytest.param("reset_peer", "timeout", "0ms", 0, id="zero with a unit"),
    ],
)
def test_plan_quantities_become_the_servers_units(
    kind: str, name: str, text: str, number: int
) -> None:
    assert parse_attribute(kind, name, text) == number


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        pytest.param("latency", "latency", "120", id="no unit"),
        pytest.param("latency", "latency", "1500us", id="no whole number of milliseconds"),
        pytest.param("bandwidth", "rate", "64KB", id="a size where a rate belongs"),
        pytest.param("bandwidth", "rate", "500B/s", id="less than a kilobyte per second"),
        pytest.param("bandwidth", "speed", "64KB/s", id="unknown attribute"),
        pytest.param("brandwidth", "rate", "64KB/s", id="unknown kind"),
    ],
)
def test_other_quantities_are_refused(kind: str, name: str, text: str) -> None:
    with pytest.raises(UsageError):
        parse_attribute(kind, name, text)


def test_defaults_and_bounds_of_the_table_agree() -> None:
    for kind in FAULT_KINDS.values():
        for attribute in kind.attributes.values():
            assert attribute.low <= attribute.high
            assert attribute.required or attribute.low <= attribute.default <= attribute.high
