"""Popularity: few things are wanted by many, by Zipf's law."""

from __future__ import annotations

import random
from bisect import bisect
from itertools import accumulate

__all__ = ["Zipf"]


class Zipf:
    """Draws ranks ``0 … count-1`` with ``P(rank r) ~ 1 / (r + 1)^alpha``.

    ``alpha`` is 1.0 to 2.7 in read-heavy caches of Twitter (Yang et al., OSDI 2020, published
    cache traces); 0 makes all ranks alike. Cost: O(count) once, O(log count) per draw.
    """

    def __init__(self, count: int, alpha: float) -> None:
        if count < 1:
            raise ValueError(f"a popularity needs one thing at least, not {count}")
        weights = (1.0 / (rank + 1) ** alpha for rank in range(count))
        self._edges = list(accumulate(weights))

    def rank(self, source: random.Random) -> int:
        """Draw one rank."""
        place = bisect(self._edges, source.random() * self._edges[-1])
        return min(place, len(self._edges) - 1)
