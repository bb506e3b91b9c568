"""Exact sample quantiles, and how many samples a quantile needs before it says anything."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from surgeproof.model.result import Quantiles

__all__ = ["finite_or_none", "minimum_samples", "quantile", "summarise"]

Floats = NDArray[np.float64]

# Quantiles are written with at most seven decimals of a percent; whole numbers of 1e-9 keep
# 0.07 * 100 from becoming 7.000000000000001 and its rank from becoming 8.
_PARTS = 10**9
# One-sided confidence with which n samples bound a quantile from above.
_DOUBT = 0.05


def quantile(values: Floats, share: float) -> float:
    """Return the nearest-rank quantile: the smallest value that ``share`` of all do not exceed.

    ``x_(k)`` with ``k = ceil(share * n)``, counted from 1, of the n sorted values (type 1 of
    Hyndman and Fan 1996). It is always one of the values and never a mean of two, so infinity
    (an attempt that never ended) is a value like any other. ``values`` must not be empty.

    Raises:
        ValueError: there are no values, or ``share`` is not within (0, 1].
    """
    count = len(values)
    if not count or not 0 < share <= 1:
        raise ValueError(f"no quantile {share} of {count} values")
    rank = max(1, -(-round(share * _PARTS) * count // _PARTS))
    return float(np.partition(values, rank - 1)[rank - 1])


def minimum_samples(share: float) -> int:
    """Return how many samples bound the quantile ``share`` with 95 % one-sided confidence.

    The largest of n samples lies above the true quantile q with probability ``1 - q^n``, so
    ``n >= ln 0.05 / ln q``: 59 for p95, 299 for p99, 2,995 for p99.9.

    Raises:
        ValueError: ``share`` is not within (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"no quantile {share}; accepted: more than 0, less than 1")
    return math.ceil(math.log(_DOUBT) / math.log(share))


def summarise(values: Floats) -> Quantiles:
    """Return p50, p95, p99 and max in seconds; None where there is no value or it is infinite."""
    if not len(values):
        return Quantiles(None, None, None, None)
    return Quantiles(
        finite_or_none(quantile(values, 0.5)),
        finite_or_none(quantile(values, 0.95)),
        finite_or_none(quantile(values, 0.99)),
        finite_or_none(float(values.max())),
    )


def finite_or_none(value: float) -> float | None:
    """Return the value, or None where it is infinite or not a number (JSON has neither)."""
    return value if math.isfinite(value) else None
