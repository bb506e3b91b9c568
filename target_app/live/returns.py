"""When clients come back after they were cut off together: not together."""

from __future__ import annotations

from random import Random

__all__ = ["wait_ms"]

# They are spread over the time that so many would take at this rate.
_RETURNS_PER_S = 100.0
_LEAST_SPREAD_S = 1.0
_LEAST_WAIT_S = 0.25


def wait_ms(sockets: int, random: Random, *, is_spread: bool) -> int:
    """Return how long one client should wait before it comes back, or fetches what it missed.

    Each of ``sockets`` is told another time; unless ``is_spread``, all the same.
    """
    spread_s = max(sockets / _RETURNS_PER_S, _LEAST_SPREAD_S) if is_spread else 0.0
    return round(1000 * (_LEAST_WAIT_S + spread_s * random.random()))
