"""How well arrivals, as the server saw them, follow an even schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.slo.quantiles import quantile

__all__ = ["BIN_S", "Evenness", "evenness_of"]

BIN_S = 0.01
# Tools stop at their end each in its own way; what they do in their last moments is not judged.
_TAIL_S = 0.25
# Where the ideal grid begins is not known of a foreign tool. The earliest arrivals mark it; not
# the very earliest, for one stray arrival must not move all others.
_GRID_SHARE = 0.01
_FEWEST = 20


@dataclass(frozen=True, slots=True)
class Evenness:
    """``busiest_bin_ratio`` is the fullest 10 ms over the mean that the rate asks for; 1 is even.

    ``rate_per_s`` is that of the whole run: bursts make the rate of any part of it a matter of
    where the part is cut. ``lag_*`` is how far behind its slot on the best-fitting even grid an
    arrival came. ``arrivals`` are those that were judged.
    """

    arrivals: int
    rate_per_s: float
    lag_p50_s: float
    lag_p99_s: float
    busiest_bin_ratio: float


def evenness_of(
    arrivals_s: NDArray[np.float64], *, rate_per_s: float, duration_s: float, skip_s: float
) -> Evenness:
    """Judge the arrivals between ``skip_s`` and shortly before ``duration_s`` after the first.

    With ``t_i`` the i-th arrival judged (i from 0) and ``r`` the rate asked for,

        d_i = t_i - i / r      lag_i = d_i - (1st percentile of d)

    so a rate that is not held shows as lag too. Bins begin half a gap before a slot: arrivals
    that are each less than half a gap off put the same number in every bin.

    Raises:
        EnvironmentNotReadyError: there are too few arrivals to judge.
    """
    since_first = np.sort(arrivals_s) - (arrivals_s.min() if len(arrivals_s) else 0.0)
    is_judged = (since_first >= skip_s) & (since_first < duration_s - _TAIL_S)
    moments = since_first[is_judged]
    if len(moments) < _FEWEST:
        raise EnvironmentNotReadyError(
            f"only {len(moments)} arrivals to judge of {rate_per_s:g}/s for {duration_s:g} s;"
            f" needed: {_FEWEST}"
        )
    behind = moments - np.arange(len(moments)) / rate_per_s
    origin = quantile(behind, _GRID_SHARE)
    lags = behind - origin
    bins = np.floor((moments - origin + 0.5 / rate_per_s) / BIN_S)
    _, counts = np.unique(bins, return_counts=True)
    return Evenness(
        arrivals=len(moments),
        rate_per_s=len(arrivals_s) / duration_s,
        lag_p50_s=quantile(lags, 0.5),
        lag_p99_s=quantile(lags, 0.99),
        busiest_bin_ratio=float(counts.max() / (rate_per_s * BIN_S)),
    )
