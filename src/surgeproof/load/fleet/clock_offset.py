"""How far two machines' monotonic clocks are apart, from an exchange of messages.

One exchange has four moments: a worker asks at ``a`` and hears at ``d`` (its own clock), the
master hears at ``b`` and answers at ``c`` (the master's). With offset ``o`` = master's clock minus
worker's, way out ``u >= 0`` and way back ``v >= 0``::

    b = a + o + u        d = c - o + v
    estimate = ((b - a) + (c - d)) / 2 = o + (u - v) / 2
    round trip = (d - a) - (c - b) = u + v

Since u and v are not negative, the estimate is off by at most half of the round trip: that is the
uncertainty given here. The exchange with the shortest round trip is the best one (RFC 5905,
section 8 and the clock filter of section 10).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["ClockOffset", "Exchange", "best_offset"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """The four moments, in seconds on CLOCK_MONOTONIC of whoever was there."""

    asked: float
    received: float
    answered: float
    heard: float

    @property
    def round_trip_s(self) -> float:
        return (self.heard - self.asked) - (self.answered - self.received)

    @property
    def offset_s(self) -> float:
        return ((self.received - self.asked) + (self.answered - self.heard)) / 2


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """Add ``offset_s`` to a worker's clock to have the master's, within ``uncertainty_s``.

    ``is_shared`` says that both read the very same clock, so that the offset is zero, exactly.
    """

    offset_s: float
    uncertainty_s: float
    is_shared: bool = False


def best_offset(exchanges: Iterable[Exchange], *, shares_clock: bool = False) -> ClockOffset:
    """Return the offset that the exchange with the shortest round trip gives.

    ``shares_clock`` says that worker and master run under one kernel and in one time namespace,
    and so read one clock; it is believed only if the measurement does not contradict it.

    Raises:
        ValueError: there is no exchange.
    """
    best = min(exchanges, key=lambda each: each.round_trip_s, default=None)
    if best is None:
        raise ValueError("no clock exchange; accepted: one or more")
    # Two clocks read within one tick may even give a round trip just below zero.
    uncertainty_s = max(0.0, best.round_trip_s / 2)
    if shares_clock and abs(best.offset_s) <= uncertainty_s + 1e-6:
        return ClockOffset(0.0, 0.0, is_shared=True)
    return ClockOffset(best.offset_s, uncertainty_s)
