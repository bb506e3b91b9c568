"""Ratios worked out by hand from round tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.targets import Ratio, Tables, ratios_of


def by_name(tables: Tables) -> dict[str, Ratio]:
    return {each.name: each for found in ratios_of(tables).values() for each in found}


@pytest.mark.parametrize(
    ("name", "value", "is_reached"),
    [
        pytest.param("requests/s: surgeproof / k6", 5.0, True, id="the better of two versions"),
        pytest.param("requests/s: surgeproof / vegeta", 2.0, False, id="missed"),
        pytest.param("requests/s: surgeproof / FastHttpUser", 12.0, True, id="reached"),
        pytest.param(
            "requests/s: surgeproof journeys, an event each / FastHttpUser", 4.0, True, id="at it"
        ),
        pytest.param("stateful journeys/s: surgeproof / FastHttpUser", 4.0, True, id="journeys"),
        pytest.param("lag p99 at 2000/s: surgeproof / vegeta", 0.2, True, id="smaller is better"),
        pytest.param("lag p99 at 2000/s: surgeproof / k6", 0.2222, False, id="too late"),
        pytest.param("highest held rate: surgeproof / vegeta", 4.0, True, id="at its best flags"),
        pytest.param(
            "delivered when twice the highest held rate is asked, over it",
            0.75,
            False,
            id="overload",
        ),
        pytest.param("lag p99 of two workers / of one", 1.5, True, id="median of pairs"),
        pytest.param(
            "arrivals of two workers more or less than asked", 1.0, False, id="worst of pairs"
        ),
        pytest.param(
            "greatest error of p50, p90, p99, max through stalls: surgeproof, 5 connections",
            0.2,
            False,
            id="any pool",
        ),
        pytest.param("seconds of 'surgeproof validate'", 0.2, True, id="start-up"),
        pytest.param("growth of memory over 10000000 requests", 0.01, True, id="memory"),
    ],
)
def test_a_ratio_says_whether_its_target_is_reached(
    tables: Tables, name: str, value: float, is_reached: bool
) -> None:
    found = by_name(tables)[name]
    assert found.value == pytest.approx(value, rel=1e-3)
    assert found.is_reached is is_reached


def test_a_ratio_without_a_target_is_neither_reached_nor_missed(tables: Tables) -> None:
    found = by_name(tables)["requests/s: surgeproof, an event each / k6"]
    assert (found.target, found.is_reached) == (None, None)


def test_what_was_not_measured_has_no_ratio(tables: Tables) -> None:
    assert not ratios_of(Tables())
    names = by_name(replace(tables, closed=tables.closed[:1]))
    assert not [name for name in names if name.startswith("requests/s")]
    # k6 held no step at all: there is no number to divide by.
    assert "highest held rate: surgeproof / k6" not in by_name(tables)
