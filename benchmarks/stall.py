"""A server that stands still on a fixed clock, and what an ideal open-loop client sees of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surgeproof.slo.quantiles import quantile

__all__ = ["ResponseTimes", "Stall"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ResponseTimes:
    """What a tool says of a run: how many requests it sent, and how long they took."""

    sent: int
    p50_s: float
    p90_s: float
    p99_s: float
    max_s: float

    @classmethod
    def of(cls, durations_s: Floats) -> ResponseTimes:
        """Return the exact quantiles of durations; there must be one at least."""
        return cls(
            sent=len(durations_s),
            p50_s=quantile(durations_s, 0.5),
            p90_s=quantile(durations_s, 0.9),
            p99_s=quantile(durations_s, 0.99),
            max_s=float(durations_s.max()),
        )


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing is answered in ``[phase, phase + length)`` of every ``every`` seconds.

    Time counts from the first request. What arrives in a stall is answered at its end.
    """

    every_s: float
    length_s: float
    phase_s: float

    def end_after(self, t_s: float) -> float | None:
        """Return when the stall ends that ``t_s`` lies in, None if it lies in none."""
        into = (t_s - self.phase_s) % self.every_s
        # Before the first stall the remainder is that of a stall which never was.
        if t_s < self.phase_s or into >= self.length_s:
            return None
        return t_s - into + self.length_s

    def holds(self, moments_s: Floats) -> int:
        """Return how many of the moments lie in a stall."""
        return sum(self.end_after(float(moment)) is not None for moment in moments_s)

    def truth(self, *, rate_per_s: float, duration_s: float) -> ResponseTimes:
        """Return what an even open schedule meets: the wait for a stall's end, else nothing.

        Arrival k comes at ``k / rate``; its response time is the rest of the stall that it falls
        into, 0 outside. The service itself is taken to cost nothing.
        """
        moments = np.arange(round(rate_per_s * duration_s)) / rate_per_s
        ends = [self.end_after(float(moment)) for moment in moments]
        waits = [
            0.0 if end is None else end - moment for end, moment in zip(ends, moments, strict=True)
        ]
        return ResponseTimes.of(np.array(waits))
