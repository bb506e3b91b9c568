"""What a curve of arrivals is, and the moments at which any curve reaches given counts.

A curve is a rate ``r(t)`` in arrivals per second and its integral ``R(t)``, both pure and
vectorised; ``t`` is seconds since the phase's start. The moment of the k-th arrival is
``R^-1(k - 1/2)``: half a step in, so that no arrival lies on a border that two phases share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curve", "Floats", "Sum", "chunks", "distinct", "invert", "one_piece"]

Floats = NDArray[np.float64]

# As many numbers as stay in a core's cache between the steps of a computation.
_CHUNK = 1 << 15
# Cells of the grid that brackets each solution before it is refined: fine enough for Newton's
# method to arrive in two rounds on curves that bend a thousand times in a phase.
_CELLS = 1 << 16
# Bisection alone would narrow a cell of a day / 65536 below the tolerance in 34 rounds.
_ROUNDS = 60
# A tenth of the schedule's grid; Newton's last step leaves an error of about its square.
_TOLERANCE_S = 1e-10


def distinct(values: Floats) -> Floats:
    """Return values in order, each once, as `numpy.unique` does, which loads much more of numpy."""
    ordered = np.sort(values)
    return np.asarray(ordered[np.append(True, np.diff(ordered) > 0)[: len(ordered)]])


class Curve(Protocol):
    """A rate over a phase, its integral, and the integral's inverse."""

    def rate(self, at_s: Floats) -> Floats:
        """Return arrivals per second at each moment; at a jump, the rate after it."""
        ...

    def reached(self, at_s: Floats) -> Floats:
        """Return the arrivals expected from 0 until each moment; never falls."""
        ...

    def moments(self, counts: Floats) -> Floats:
        """Return when each count is reached; ``counts`` is sorted, none beyond the phase's."""
        ...

    def knots(self) -> Floats:
        """Return the moments where the rate or its slope jumps."""
        ...


class Sum:
    """Several curves at once, over ``duration_s``."""

    def __init__(self, curves: Sequence[Curve], duration_s: float) -> None:
        self._curves, self._duration_s = tuple(curves), duration_s

    def rate(self, at_s: Floats) -> Floats:
        return np.asarray(sum(curve.rate(at_s) for curve in self._curves))

    def reached(self, at_s: Floats) -> Floats:
        return np.asarray(sum(curve.reached(at_s) for curve in self._curves))

    def moments(self, counts: Floats) -> Floats:
        return invert(self, self._duration_s, counts)

    def knots(self) -> Floats:
        return distinct(np.concatenate([curve.knots() for curve in self._curves]))


def chunks(count: int) -> Iterator[slice]:
    """Yield slices of a size that a core's cache holds, which together cover ``count``."""
    for start in range(0, count, _CHUNK):
        yield slice(start, min(start + _CHUNK, count))


def one_piece(edges: Floats, at: Floats, *, side: str, last: int) -> NDArray[np.intp] | np.intp:
    """Return which piece between ``edges`` each of ``at`` lies in, from 0 to ``last``.

    A single number where it is the same for all of them: then what belongs to the piece is a
    scalar, which spares most of the work on long arrays.
    """
    if not at.size:
        return np.intp(0)
    bounds = np.array([at.min(), at.max()])
    low, high = np.clip(_search(edges, bounds, side) - 1, 0, last)
    if low == high:
        return np.intp(low)
    return np.asarray(np.clip(_search(edges, at, side) - 1, 0, last))


def _search(edges: Floats, at: Floats, side: str) -> NDArray[np.intp]:
    return np.searchsorted(edges, at, side="left" if side == "left" else "right")


def invert(curve: Curve, duration_s: float, counts: Floats) -> Floats:
    """Return the moments within ``[0, duration_s]`` at which a curve reaches each count.

    ``counts`` is sorted and does not exceed what the curve expects of the whole phase. Newton's
    method kept within a bracket that halves whenever Newton leaves it, so flat stretches and
    jumps of the rate are safe. Each moment depends on its own count only, never on which others
    are asked for beside it. Cost: two or three evaluations of the curve per count.
    """
    grid = np.linspace(0.0, duration_s, _CELLS + 1)
    knots = curve.knots()
    grid = distinct(np.concatenate([grid, knots[(knots > 0) & (knots < duration_s)]]))
    reached = np.maximum.accumulate(curve.reached(grid))
    found = np.empty(len(counts))
    for part in chunks(len(counts)):
        wanted = counts[part]
        # A flat stretch is left where it begins. The search is kept to the cells in question.
        first, last = np.searchsorted(reached, wanted[[0, -1]], side="left")
        cell = first + np.searchsorted(reached[first : last + 1], wanted, side="left")
        cell = np.clip(cell, 1, len(grid) - 1)
        low, high = grid[cell - 1], grid[cell]
        rise = reached[cell] - reached[cell - 1]
        share = np.divide(wanted - reached[cell - 1], rise, out=np.ones_like(rise), where=rise > 0)
        guess = low + np.clip(share, 0.0, 1.0) * (high - low)
        found[part] = _refine(curve, wanted, guess, low, high)
    return found


def _refine(curve: Curve, counts: Floats, guess: Floats, low: Floats, high: Floats) -> Floats:
    """Return each guess improved until its next step would be below the tolerance."""
    result = guess.copy()
    open_ones: NDArray[np.intp] | None = None
    for _ in range(_ROUNDS):
        error = curve.reached(guess) - counts
        slope = curve.rate(guess)
        low, high = np.where(error > 0, low, guess), np.where(error > 0, guess, high)
        step = np.divide(error, slope, out=np.full_like(error, np.inf), where=slope > 0)
        better = guess - step
        outside = ~((better >= low) & (better <= high))
        if outside.any():
            better = np.where(outside, (low + high) / 2, better)
        is_open = np.abs(better - guess) >= _TOLERANCE_S
        if open_ones is None:
            result = better
            open_ones = np.flatnonzero(is_open)
        else:
            result[open_ones] = better
            open_ones = open_ones[is_open]
        if not open_ones.size:
            break
        counts, low, high = counts[is_open], low[is_open], high[is_open]
        guess = better[is_open]
    return result
