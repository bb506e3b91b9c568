"""How well arrivals, as the server saw them, follow an even schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.slo.quantiles import quantile

__all__ = ["BIN_S", "EVEN_RATIO", "LATE_S", "TAIL_S", "Evenness", "evenness_of", "throughput"]

BIN_S = 0.01
# A bin of 10 ms is even up to this much over the mean.
EVEN_RATIO = 1.2
# An arrival this far behind its slot is late.
LATE_S = 0.01
# Tools stop at their end each in its own way; what they do in their last moments is not judged.
TAIL_S = 0.25
# Where the ideal grid begins is not known of a foreign tool. The earliest arrivals mark it; not
# the very earliest, for one stray arrival must not move all others.
_GRID_SHARE = 0.01
_FEWEST = 20


@dataclass(frozen=True, slots=True)
class Evenness:
    """What the judged arrivals say about a schedule.

    ``rate_per_s`` is that of the whole run: bursts make the rate of any part of it a matter of
    where the part is cut. ``lag_*`` is how far behind its slot on the best-fitting even grid an
    arrival came, ``gap_error_*`` how far the gap to the one before is from the ideal. Of the bins
    of 10 ms, ``even_bins_ratio`` is the share that hold at most 1.2 of the mean that the rate
    asks for, ``worst_bin_ratio`` the fullest over the mean. ``late_ratio`` is the share of
    arrivals more than 10 ms behind.
    """

    arrivals: int
    rate_per_s: float
    lag_p50_s: float
    lag_p99_s: float
    gap_error_p50_s: float
    gap_error_p99_s: float
    even_bins_ratio: float
    worst_bin_ratio: float
    late_ratio: float


def evenness_of(
    arrivals_s: NDArray[np.float64], *, rate_per_s: float, duration_s: float, skip_s: float
) -> Evenness:
    """Judge the arrivals between ``skip_s`` and shortly before ``duration_s`` after the first.

    With ``t_i`` the i-th arrival judged (i from 0) and ``r`` the rate asked for,

        d_i = t_i - i / r      lag_i = d_i - (1st percentile of d)

    so a rate that is not held shows as lag too. Bins begin half a gap before a slot: arrivals
    that are each less than half a gap off put the same number in every bin. Where a bin's mean is
    no whole number, the next whole one is what an even schedule fills it with at most.

    Raises:
        EnvironmentNotReadyError: there are too few arrivals to judge.
    """
    since_first = np.sort(arrivals_s) - (arrivals_s.min() if len(arrivals_s) else 0.0)
    is_judged = (since_first >= skip_s) & (since_first < duration_s - TAIL_S)
    moments = since_first[is_judged]
    if len(moments) < _FEWEST:
        raise EnvironmentNotReadyError(
            f"only {len(moments)} arrivals to judge of {rate_per_s:g}/s for {duration_s:g} s;"
            f" needed: {_FEWEST}"
        )
    behind = moments - np.arange(len(moments)) / rate_per_s
    origin = quantile(behind, _GRID_SHARE)
    lags = behind - origin
    gap_errors = np.abs(np.diff(moments) - 1 / rate_per_s)
    # Without its first and last bin, which the window cuts.
    bins = np.floor((moments - origin + 0.5 / rate_per_s) / BIN_S).astype(np.int64)
    counts = np.bincount(bins - bins.min())
    inner = counts[1:-1] if len(counts) > 2 else counts
    mean = rate_per_s * BIN_S
    return Evenness(
        arrivals=len(moments),
        rate_per_s=len(arrivals_s) / duration_s,
        lag_p50_s=quantile(lags, 0.5),
        lag_p99_s=quantile(lags, 0.99),
        gap_error_p50_s=quantile(gap_errors, 0.5),
        gap_error_p99_s=quantile(gap_errors, 0.99),
        even_bins_ratio=float(np.mean(inner <= max(EVEN_RATIO * mean, np.ceil(mean)))),
        worst_bin_ratio=float(counts.max() / mean),
        late_ratio=float(np.mean(lags > LATE_S)),
    )


def throughput(arrivals_s: NDArray[np.float64], *, duration_s: float, skip_s: float) -> float:
    """Return arrivals per second from ``skip_s`` to shortly before ``duration_s``.

    Raises:
        EnvironmentNotReadyError: nothing arrived in that time.
    """
    since_first = arrivals_s - (arrivals_s.min() if len(arrivals_s) else 0.0)
    count = int(np.sum((since_first >= skip_s) & (since_first < duration_s - TAIL_S)))
    if not count:
        raise EnvironmentNotReadyError(f"nothing arrived after the first {skip_s:g} s")
    return count / (duration_s - TAIL_S - skip_s)
