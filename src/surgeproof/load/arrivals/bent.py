"""Rates that are no straight lines: the published launch, and the swing of a day."""

from __future__ import annotations

import math

import numpy as np

from surgeproof.load.arrivals.curve import Floats, invert
from surgeproof.load.arrivals.pchip import Pchip

__all__ = ["LAUNCH_POINTS", "LaunchCurve", "Sine"]

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
        self._duration_s = duration_s

    def rate(self, at_s: Floats) -> Floats:
        return np.asarray(self._scale * self._signups.derivative(self._hour(at_s)))

    def reached(self, at_s: Floats) -> Floats:
        return np.asarray(self._scale / self._hours_per_s * self._signups.value(self._hour(at_s)))

    def moments(self, counts: Floats) -> Floats:
        return invert(self, self._duration_s, counts)

    def knots(self) -> Floats:
        knots = self._signups.x / self._hours_per_s
        return np.asarray(knots[self._signups.x <= self._hours])

    def _hour(self, at_s: Floats) -> Floats:
        # Rounding must not lead over the end of the published points.
        return np.asarray(np.minimum(at_s * self._hours_per_s, self._hours))


class Sine:
    """A rate that swings from ``first`` to ``other`` per second and back in each ``period_s``.

    With m = (first + other) / 2, d = (first - other) / 2 and w = 2*pi / period,

        r(t) = m + d*cos(w*t)      R(t) = m*t + d/w * sin(w*t)
    """

    def __init__(self, first: float, other: float, period_s: float, duration_s: float) -> None:
        self._middle, self._swing = (first + other) / 2, (first - other) / 2
        self._pace = 2 * math.pi / period_s
        self._period_s, self._duration_s = period_s, duration_s

    def rate(self, at_s: Floats) -> Floats:
        return np.asarray(self._middle + self._swing * np.cos(self._pace * at_s))

    def reached(self, at_s: Floats) -> Floats:
        swung = self._swing / self._pace * np.sin(self._pace * at_s)
        return np.asarray(self._middle * at_s + swung)

    def moments(self, counts: Floats) -> Floats:
        return invert(self, self._duration_s, counts)

    def knots(self) -> Floats:
        """Return the highest and lowest points: nothing jumps, but a peak is looked for there."""
        return np.arange(0.0, self._duration_s, self._period_s / 2)
