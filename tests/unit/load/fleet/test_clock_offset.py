"""The clock exchange: its estimate, its uncertainty, and which exchange is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.load.fleet.clock_offset import ClockOffset, Exchange, best_offset

SMALL = st.floats(0.0, 0.5)


def exchange(offset_s: float, way_out_s: float, way_back_s: float, held_s: float = 0.0) -> Exchange:
    asked = 100.0
    received = asked + way_out_s + offset_s
    answered = received + held_s
    return Exchange(asked, received, answered, answered - offset_s + way_back_s)


def test_an_even_way_gives_the_offset_exactly() -> None:
    found = best_offset([exchange(12.5, 0.25, 0.25, held_s=3.0)])
    assert found == ClockOffset(12.5, 0.25)


@given(offset_s=st.floats(-1000.0, 1000.0), out_s=SMALL, back_s=SMALL, held_s=SMALL)
def test_the_truth_is_always_within_the_uncertainty(
    offset_s: float, out_s: float, back_s: float, held_s: float
) -> None:
    found = best_offset([exchange(offset_s, out_s, back_s, held_s)])
    assert abs(found.offset_s - offset_s) <= found.uncertainty_s + 1e-9


def test_the_shortest_round_trip_is_believed() -> None:
    found = best_offset(
        [exchange(1.0, 0.5, 0.0), exchange(1.0, 0.01, 0.0), exchange(1.0, 0.0, 0.4)]
    )
    assert found.offset_s == pytest.approx(1.005)
    assert found.uncertainty_s == pytest.approx(0.005)


def test_one_shared_clock_has_no_offset_at_all() -> None:
    assert best_offset([exchange(0.0, 0.3, 0.1)], shares_clock=True) == ClockOffset(0.0, 0.0, True)


def test_a_clock_that_only_claims_to_be_shared_is_measured() -> None:
    found = best_offset([exchange(5.0, 0.1, 0.1)], shares_clock=True)
    assert found.offset_s == pytest.approx(5.0)
    assert found.uncertainty_s == pytest.approx(0.1)
    assert not found.is_shared


def test_without_an_exchange_nothing_is_known() -> None:
    with pytest.raises(ValueError, match="no clock exchange"):
        best_offset([])
