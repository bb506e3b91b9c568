"""A recording: arrivals at the very moments at which somebody's really came."""

from __future__ import annotations

import math

import numpy as np

from surgeproof.load.arrivals.curve import Floats

__all__ = ["Recorded"]


class Recorded:
    """Moments of a recording within a phase, each of them ``scale`` arrivals.

    The integral is a flight of steps, so the inverse of a count is a moment of the recording and
    nothing between. The rate, which such a curve does not have, is that of each whole second of
    the phase.
    """

    def __init__(self, moments_s: Floats, scale: float, duration_s: float) -> None:
        # An arrival belongs to the phase that holds it, and a phase does not hold its end.
        self._moments = moments_s[moments_s < duration_s]
        self._scale, self._duration_s = scale, duration_s

    def rate(self, at_s: Floats) -> Floats:
        second = np.floor(at_s)
        end = np.minimum(second + 1, self._duration_s)
        length = np.where(end > second, end - second, 1.0)
        return np.asarray((self.reached(end) - self.reached(second)) / length)

    def reached(self, at_s: Floats) -> Floats:
        return np.asarray(np.searchsorted(self._moments, at_s, side="left") * self._scale)

    def moments(self, counts: Floats) -> Floats:
        if not self._moments.size:
            return np.empty(0)
        place = np.floor(counts / self._scale).astype(np.int64)
        return np.asarray(self._moments[np.minimum(place, len(self._moments) - 1)])

    def knots(self) -> Floats:
        return np.arange(0.0, math.ceil(self._duration_s))
