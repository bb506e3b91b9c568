"""Heads of answers that were parsed before: the same bytes mean the same thing.

Servers under load answer with few different heads (within a second, say, for the Date header).
One that was read before tells status, headers and length without being parsed again, which is a
good part of what an answer costs the generator. Where heads never repeat, nothing is looked up.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Head", "KnownHeads"]

_MOST_HEADS = 256
# After so many heads in vain for each that was known, looking them up does not pay: it costs a
# tenth of a parse.
_MOST_MISSES = 32


@dataclass(frozen=True, slots=True)
class Head:
    """What a head says; of an answer that keeps its connection open, ``length`` in bytes."""

    status: int
    headers: list[tuple[bytes, bytes]]
    marks: frozenset[bytes]
    length: int


class KnownHeads:
    """Heads by their bytes, of all connections to one origin; the tables are bounded."""

    __slots__ = ("_heads", "_misses", "is_worthwhile")

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        self._misses = 0
        self.is_worthwhile = True

    def find(self, head: bytes) -> Head | None:
        """Return what a head says if it is known."""
        known = self._heads.get(head)
        if known is not None:
            self._misses = max(self._misses - _MOST_MISSES, 0)
        return known

    def learn(self, head: bytes, said: Head) -> None:
        """Keep what a head said that was not known."""
        self._misses += 1
        if self._misses > _MOST_MISSES * _MOST_HEADS:
            self.is_worthwhile = False
            self._heads.clear()
        elif len(self._heads) >= _MOST_HEADS:
            self._heads.clear()
        else:
            self._heads[head] = said
