"""Arrival curves: how many arrivals are expected by each moment of a phase.

A curve is a rate ``r(t)`` in arrivals per second and its integral ``R(t)``, both pure and
vectorised; ``t`` is seconds since the phase's start. The moment of the k-th arrival is
``R^-1(k - 1/2)``: half a step in, so that no arrival lies on a border that two phases share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from surgeproof.load.pchip import Pchip

__all__ = ["LAUNCH_POINTS", "Burst", "Curve", "LaunchCurve", "Line", "Sum", "invert"]

Floats = NDArray[np.float64]

# Sign-ups of Threads after its launch on 2023-07-05 23:00 UTC, as (hours, millions). Sources, in
# order: an account's badge number of the first hour; Zuckerberg's posts of 2, 4, 7 and 16 hours;
# The Hill of 7 July (70 million) and of 10 July ("100 million over the weekend").
LAUNCH_POINTS: tuple[tuple[float, float], ...] = (
    (0, 0),
    (1, 1),
    (2, 2),
    (4, 5),
    (7, 10),
    (16, 30),
    (48, 70),
    (120, 100),
)


class Curve(Protocol):
    """A rate over a phase and its integral."""

    def rate(self, at_s: Floats) -> Floats:
        """Return arrivals per second at each moment."""
        ...

    def expected(self, at_s: Floats) -> Floats:
        """Return arrivals from 0 until each moment; never falls."""
        ...

    def knots(self) -> Floats:
        """Return the moments where the rate or its slope jumps."""
        ...


class Line:
    """A rate that goes straight from ``first`` to ``last`` per second over ``duration_s``."""

    def __init__(self, first: float, last: float, duration_s: float) -> None:
        self._first = first
        self._slope = (last - first) / duration_s

    def rate(self, at_s: Floats) -> Floats:
        return self._first + self._slope * at_s

    def expected(self, at_s: Floats) -> Floats:
        return at_s * (self._first + self._slope / 2 * at_s)

    def knots(self) -> Floats:
        return np.empty(0)


class Burst:
    """``rate_per_s`` within ``[at_s, at_s + for_s)``, nothing outside."""

    def __init__(self, at_s: float, for_s: float, rate_per_s: float) -> None:
        self._start, self._length, self._rate = at_s, for_s, rate_per_s

    def rate(self, at_s: Floats) -> Floats:
        inside = (at_s >= self._start) & (at_s < self._start + self._length)
        return np.where(inside, self._rate, 0.0)

    def expected(self, at_s: Floats) -> Floats:
        return self._rate * np.clip(at_s - self._start, 0.0, self._length)

    def knots(self) -> Floats:
        return np.array([self._start, self._start + self._length])


class LaunchCurve:
    """The first ``hours`` of the published sign-up curve, squeezed into ``duration_s``.

    The sign-ups ``S(h)`` are the monotone interpolation of `LAUNCH_POINTS`; with ``h`` hours per
    second of the phase and ``peak`` the largest rate wanted,

        r(t) = peak * S'(h*t) / max S'      R(t) = peak / max S' * S(h*t) / h
    """

    def __init__(self, peak_per_s: float, hours: float, duration_s: float) -> None:
        points = np.array(LAUNCH_POINTS, dtype=np.float64)
        self._signups = Pchip(points[:, 0], points[:, 1])
        self._hours_per_s = hours / duration_s
        self._scale = peak_per_s / self._signups.steepest(hours)
        self._hours = hours

    def rate(self, at_s: Floats) -> Floats:
        return np.asarray(self._scale * self._signups.derivative(self._hour(at_s)))

    def expected(self, at_s: Floats) -> Floats:
        return np.asarray(self._scale / self._hours_per_s * self._signups.value(self._hour(at_s)))

    def knots(self) -> Floats:
        knots = self._signups.x / self._hours_per_s
        return np.asarray(knots[self._signups.x <= self._hours])

    def _hour(self, at_s: Floats) -> Floats:
        # Rounding must not lead over the end of the published points.
        return np.asarray(np.minimum(at_s * self._hours_per_s, self._hours))


class Sum:
    """Several curves at once."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        self._curves = tuple(curves)

    def rate(self, at_s: Floats) -> Floats:
        return np.asarray(np.sum([curve.rate(at_s) for curve in self._curves], axis=0))

    def expected(self, at_s: Floats) -> Floats:
        return np.asarray(np.sum([curve.expected(at_s) for curve in self._curves], axis=0))

    def knots(self) -> Floats:
        return np.unique(np.concatenate([curve.knots() for curve in self._curves]))


# Cells of the grid that brackets each solution before it is refined.
_CELLS = 4096
# Rounds of refinement; bisection alone would narrow a cell of 100 s / 4096 below 1 ns in 25.
_ROUNDS = 60
_TOLERANCE_S = 1e-10


def invert(curve: Curve, duration_s: float, counts: Floats) -> Floats:
    """Return the moments within ``[0, duration_s]`` at which the curve reaches each count.

    ``counts`` is sorted and does not exceed what the curve expects of the whole phase. Newton's
    method kept within a bracket that halves whenever Newton leaves it, so flat stretches and
    jumps of the rate are safe. Cost: a few evaluations of the curve per count.
    """
    grid = np.linspace(0.0, duration_s, _CELLS + 1)
    knots = curve.knots()
    grid = np.union1d(grid, knots[(knots > 0) & (knots < duration_s)])
    reached = np.maximum.accumulate(curve.expected(grid))
    # Side left: the first moment of a flat stretch is not the one meant; the count is only
    # passed where the curve rises again, and counts lie between whole numbers anyway.
    cell = np.clip(np.searchsorted(reached, counts, side="left"), 1, len(grid) - 1)
    low, high = grid[cell - 1].copy(), grid[cell].copy()
    rise = reached[cell] - reached[cell - 1]
    share = np.divide(counts - reached[cell - 1], rise, out=np.ones_like(counts), where=rise > 0)
    guess: Floats = low + np.clip(share, 0.0, 1.0) * (high - low)
    for _ in range(_ROUNDS):
        error = curve.expected(guess) - counts
        high = np.where(error > 0, guess, high)
        low = np.where(error > 0, low, guess)
        slope = curve.rate(guess)
        step = np.divide(error, slope, out=np.full_like(error, np.inf), where=slope > 0)
        better = guess - step
        outside = ~((better >= low) & (better <= high))
        better = np.where(outside, (low + high) / 2, better)
        moved = np.abs(better - guess)
        guess = better
        if not moved.size or float(moved.max()) < _TOLERANCE_S:
            break
    return guess
