"""Quantiles against answers worked out by hand, and against numpy's own rule of that name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.slo.quantiles import minimum_samples, quantile, summarise


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        pytest.param([5.0, 1.0, 3.0, 2.0, 4.0], 0.5, 3.0, id="the middle of five"),
        pytest.param([1.0, 2.0, 3.0, 4.0], 0.5, 2.0, id="of an even count the lower middle"),
        pytest.param([7.0], 0.99, 7.0, id="one value is every quantile"),
        pytest.param(list(range(1, 101)), 0.99, 99.0, id="p99 of 100 is the 99th, not the largest"),
        pytest.param(list(range(1, 102)), 0.99, 100.0, id="p99 of 101 is the 100th"),
        pytest.param(list(range(1, 101)), 0.07, 7.0, id="0.07 * 100 is seven whatever floats say"),
        pytest.param([1.0, 2.0, float("inf")], 0.5, 2.0, id="endless requests stay behind p50"),
        pytest.param([1.0, float("inf")], 0.99, float("inf"), id="endless requests make p99"),
        pytest.param([1.0, 2.0, 3.0], 1.0, 3.0, id="the whole share is the largest"),
    ],
)
def test_quantile_is_the_nearest_rank(values: list[float], share: float, expected: float) -> None:
    assert quantile(np.array(values, dtype=np.float64), share) == expected


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1], ids=["zero", "negative", "above one"])
def test_quantile_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        quantile(np.array([1.0]), share)


def test_quantile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="of 0 values"):
        quantile(np.empty(0), 0.5)


@given(
    st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=200),
    st.sampled_from([0.5, 0.75, 0.9, 0.95, 0.99, 0.999]),
)
def test_quantile_agrees_with_an_independent_inverted_cdf(
    values: list[float], share: float
) -> None:
    ranked = sorted(values)
    # By definition: the smallest value that at least `share` of all values do not exceed.
    by_count = next(
        value
        for value in ranked
        if sum(other <= value for other in ranked) >= share * len(ranked) - 1e-9
    )
    assert quantile(np.array(values), share) == by_count


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.95, 59), (0.99, 299), (0.999, 2995), (0.5, 5)],
    ids=["p95", "p99", "p99.9", "p50"],
)
def test_minimum_samples_are_those_of_the_contract(share: float, expected: int) -> None:
    assert minimum_samples(share) == expected
    # The definition itself: n samples all below the quantile are 5 % likely at most.
    assert share**expected <= 0.05 < share ** (expected - 1)


def test_summary_of_nothing_is_unknown_and_not_zero() -> None:
    summary = summarise(np.empty(0))
    assert (summary.p50, summary.p95, summary.p99, summary.max) == (None, None, None, None)


def test_summary_has_no_number_where_requests_never_ended() -> None:
    summary = summarise(np.array([0.1] * 98 + [float("inf")] * 2))
    assert (summary.p50, summary.p95, summary.p99, summary.max) == (0.1, 0.1, None, None)
