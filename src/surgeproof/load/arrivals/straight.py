"""Rates made of straight lines: even rates, ramps, bursts, stairs and curves given by rows.

On the piece from ``x`` on, with rate ``a`` at its start, slope ``s`` and ``c`` arrivals since,

    r(t) = a + s*(t - x)        c = (t - x) * (a + s/2 * (t - x))

    t = x + 2*c / (a + sqrt(a^2 + 2*s*c))

the root of the quadratic in the form that loses no digits, and that is ``c / a`` where s is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from surgeproof.load.arrivals.curve import Floats, chunks, distinct, one_piece

__all__ = ["Straight"]


class Straight:
    """A rate that is straight between ``knots`` and may jump at each of them.

    Piece i goes from ``first[i]`` to ``last[i]`` per second between ``knots[i]`` and
    ``knots[i + 1]``; knots increase, from 0 to the phase's end.
    """

    def __init__(self, knots: Floats, first: Floats, last: Floats) -> None:
        self._x = np.asarray(knots, np.float64)
        self._first, self._last = np.asarray(first, np.float64), np.asarray(last, np.float64)
        width = np.diff(self._x)
        self._slope = (self._last - self._first) / width
        rises = (self._first + self._last) / 2 * width
        self._reached = np.concatenate([[0.0], np.cumsum(rises)])

    @classmethod
    def line(cls, first: float, last: float, duration_s: float) -> Straight:
        """Return one straight line over the phase."""
        return cls(np.array([0.0, duration_s]), np.array([first]), np.array([last]))

    @classmethod
    def stairs(cls, edges: Floats, rates: Floats, duration_s: float) -> Straight:
        """Return even rates between edges that increase, nothing outside of them."""
        return cls._within(edges, rates, rates, duration_s)

    @classmethod
    def through(cls, times_s: Floats, rates: Floats, duration_s: float) -> Straight:
        """Return straight lines from row to row, nothing after the last."""
        return cls._within(times_s, rates[:-1], rates[1:], duration_s)

    @classmethod
    def sum(cls, curves: Sequence[Straight]) -> Straight:
        """Return the sum of curves over the same phase, which is of their own kind."""
        if len(curves) == 1:
            return curves[0]
        knots = distinct(np.concatenate([curve.knots() for curve in curves]))
        lines = [curve.between(knots) for curve in curves]
        # The end of a line down to 0 must not fall below it by rounding.
        first = np.maximum(np.sum([line[0] for line in lines], axis=0), 0.0)
        return cls(knots, first, np.maximum(np.sum([line[1] for line in lines], axis=0), 0.0))

    def between(self, knots: Floats) -> tuple[Floats, Floats]:
        """Return the rates after and before each of more knots, which include its own."""
        piece = self._piece((knots[:-1] + knots[1:]) / 2)
        first, slope, start = self._first[piece], self._slope[piece], self._x[piece]
        return first + slope * (knots[:-1] - start), first + slope * (knots[1:] - start)

    def rate(self, at_s: Floats) -> Floats:
        piece = self._piece(at_s)
        return np.asarray(self._first[piece] + self._slope[piece] * (at_s - self._x[piece]))

    def reached(self, at_s: Floats) -> Floats:
        piece = self._piece(at_s)
        since = at_s - self._x[piece]
        rise = since * (self._first[piece] + self._slope[piece] / 2 * since)
        return np.asarray(self._reached[piece] + rise)

    def moments(self, counts: Floats) -> Floats:
        found = np.empty(len(counts))
        last = len(self._first) - 1
        for part in chunks(len(counts)):
            # Side left: a flat stretch is left where it begins.
            piece = one_piece(self._reached, counts[part], side="left", last=last)
            count = counts[part] - self._reached[piece]
            start = self._first[piece]
            root = np.sqrt(np.maximum(start * start + 2 * self._slope[piece] * count, 0.0))
            root += start
            since = np.divide(2 * count, root, out=np.zeros_like(count), where=root > 0)
            begin, end = self._x[piece], self._x[piece + 1]
            found[part] = np.clip(begin + since, begin, end)
        return found

    def knots(self) -> Floats:
        return self._x

    def _piece(self, at_s: Floats) -> NDArray[np.intp] | np.intp:
        return one_piece(self._x, np.asarray(at_s), side="right", last=len(self._first) - 1)

    @classmethod
    def _within(cls, edges: Floats, first: Floats, last: Floats, duration_s: float) -> Straight:
        """Return pieces between edges, cut off at the phase's end, and 0 where there are none."""
        if edges[0] > 0:
            edges = np.concatenate([[0.0], edges])
            first, last = np.concatenate([[0.0], first]), np.concatenate([[0.0], last])
        if edges[-1] < duration_s:
            edges = np.concatenate([edges, [duration_s]])
            first, last = np.concatenate([first, [0.0]]), np.concatenate([last, [0.0]])
        kept = int(np.searchsorted(edges, duration_s, side="left"))
        cut = edges[: kept + 1].copy()
        share = (duration_s - edges[kept - 1]) / (edges[kept] - edges[kept - 1])
        cut[kept] = duration_s
        ends = last[:kept].copy()
        ends[-1] = first[kept - 1] + share * (last[kept - 1] - first[kept - 1])
        return cls(cut, first[:kept], ends)
