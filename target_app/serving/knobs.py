"""Knobs: features given up in the order of least value, so that the rest keeps its room.

Levels: 0 everything; 1 no trends, no recommendations; 2 live ticks become polling, exact counts
become cached ones, no uploads; 3 feeds by time instead of ranked, half as long, replies cut short;
4 no posting, while reading and blocking go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["HIGHEST", "LEVELS", "Knobs"]

HIGHEST = 4

# The level from which on a feature is off.
LEVELS: Mapping[str, int] = {
    "trending": 1,
    "recommendations": 1,
    "live-ticks": 2,
    "exact-counts": 2,
    "upload": 2,
    "ranking": 3,
    "long-pages": 3,
    "posting": 4,
}


class Knobs:
    """The level of one process: the one set by hand, else what ``follow`` says (0 if nothing)."""

    def __init__(self, follow: Callable[[], int] | None = None) -> None:
        self._follow = follow
        self._by_hand: int | None = None

    @property
    def level(self) -> int:
        """The level that holds now."""
        if self._by_hand is not None:
            return self._by_hand
        return 0 if self._follow is None else min(max(self._follow(), 0), HIGHEST)

    def turn(self, level: int | None) -> None:
        """Set the level by hand, or with None leave it to the admission signal.

        Raises:
            ValueError: there is no such level.
        """
        if level is not None and not 0 <= level <= HIGHEST:
            raise ValueError(f"level is {level} (accepted: 0 to {HIGHEST})")
        self._by_hand = level

    def is_off(self, feature: str) -> bool:
        """Return whether a feature of :data:`LEVELS` is given up now."""
        return self.level >= LEVELS[feature]
