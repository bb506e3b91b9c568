"""Monotone cubic interpolation (PCHIP): a smooth curve that never overshoots its points.

On the interval ``[x_k, x_{k+1}]`` with ``h = x_{k+1} - x_k``, ``s = (x - x_k) / h`` and end
slopes ``d_k``, ``d_{k+1}`` the curve is the cubic Hermite polynomial

    y(x) = y_k + h * (d_k*s + (3*m - 2*d_k - d_{k+1})*s^2 + (d_k + d_{k+1} - 2*m)*s^3)

where ``m = (y_{k+1} - y_k) / h``. An inner slope is the weighted harmonic mean of the two secants
beside it, 0 where they differ in sign; a slope at the end is the one-sided three-point formula,
limited so that the shape is kept. Source: F. N. Fritsch and J. Butland, "A method for
constructing local monotone piecewise cubic interpolants", SIAM J. Sci. Stat. Comput. 5 (1984).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from surgeproof.load.arrivals.curve import Floats, one_piece

__all__ = ["Pchip"]


class Pchip:
    """The interpolant through ``(x, y)``; ``x`` strictly increasing, three points at least."""

    def __init__(self, x: Floats, y: Floats) -> None:
        if len(x) < 3 or len(x) != len(y) or not np.all(np.diff(x) > 0):
            raise ValueError("pchip needs three points or more, with strictly increasing x")
        self.x, self.y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        self._width = np.diff(self.x)
        self._secant = np.diff(self.y) / self._width
        self._slope = _slopes(self._width, self._secant)

    def value(self, at: Floats) -> Floats:
        """Return y at each point of ``at``, which must lie within the given x."""
        piece, s, (linear, square, cube) = self._terms(at)
        width = self._width[piece]
        return np.asarray(self.y[piece] + width * s * (linear + s * (square + s * cube)))

    def derivative(self, at: Floats) -> Floats:
        """Return dy/dx at each point of ``at``."""
        _, s, (linear, square, cube) = self._terms(at)
        return np.asarray(linear + s * (2 * square + 3 * s * cube))

    def steepest(self, until: float) -> float:
        """Return the largest dy/dx on ``[x_0, until]``, exactly: at a knot, a vertex or the end."""
        left, right = self._slope[:-1], self._slope[1:]
        square = 3 * self._secant - 2 * left - right
        cube = left + right - 2 * self._secant
        with np.errstate(divide="ignore", invalid="ignore"):
            vertex = -square / (3 * cube)  # where the second derivative is 0
        inside = np.isfinite(vertex) & (vertex > 0) & (vertex < 1)
        vertices = (self.x[:-1] + vertex * self._width)[inside]
        candidates = np.concatenate([self.x, vertices, [until]])
        return float(self.derivative(candidates[candidates <= until]).max())

    def _terms(
        self, at: Floats
    ) -> tuple[NDArray[np.intp] | np.intp, Floats, tuple[Floats, Floats, Floats]]:
        piece = one_piece(self.x, np.asarray(at), side="right", last=len(self._width) - 1)
        s = (at - self.x[piece]) / self._width[piece]
        left, right, secant = self._slope[piece], self._slope[piece + 1], self._secant[piece]
        return piece, s, (left, 3 * secant - 2 * left - right, left + right - 2 * secant)


def _slopes(width: Floats, secant: Floats) -> Floats:
    slope = np.zeros(len(width) + 1)
    before, after = secant[:-1], secant[1:]
    same_sign = before * after > 0
    first = 2 * width[1:] + width[:-1]
    second = width[1:] + 2 * width[:-1]
    # Beside a piece that hardly rises this is infinite, and the slope 0, as it should be.
    with np.errstate(over="ignore"):
        weighted = first[same_sign] / before[same_sign] + second[same_sign] / after[same_sign]
    slope[1:-1][same_sign] = (first + second)[same_sign] / weighted
    slope[0] = _end_slope(width[0], width[1], secant[0], secant[1])
    slope[-1] = _end_slope(width[-1], width[-2], secant[-1], secant[-2])
    return slope


def _end_slope(width: float, next_width: float, secant: float, next_secant: float) -> float:
    slope = ((2 * width + next_width) * secant - width * next_secant) / (width + next_width)
    if slope * secant <= 0:
        return 0.0
    if secant * next_secant <= 0 and abs(slope) > 3 * abs(secant):
        return 3 * float(secant)
    return float(slope)
