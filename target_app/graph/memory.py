"""The first tier of the cache: values in the memory of this process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Entry", "Memory"]

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Entry(Generic[V]):
    """A value as read from the database at ``read_at_s`` (wall clock)."""

    value: V
    read_at_s: float


class Memory(Generic[V]):
    """Keeps the last ``capacity`` values and what was forgotten.

    A value that was read before its key was forgotten is never taken in again, wherever it comes
    from: a slow reader, or a second tier that missed the invalidation. Forgotten keys are
    remembered for ``keep_s``, as long as the second tier may hold a value.
    """

    def __init__(self, *, capacity: int, keep_s: float) -> None:
        self._capacity = capacity
        self._keep_s = keep_s
        # Both in the order of writing, oldest first.
        self._entries: dict[str, Entry[V]] = {}
        self._forgotten: dict[str, float] = {}

    def get(self, key: str) -> Entry[V] | None:
        """Return the entry of a key, however old."""
        return self._entries.get(key)

    def put(self, key: str, entry: Entry[V]) -> bool:
        """Take a value in unless it is outdated; return whether it was."""
        if not self.is_valid(key, entry):
            return False
        self._entries.pop(key, None)
        self._entries[key] = entry
        if len(self._entries) > self._capacity:
            del self._entries[next(iter(self._entries))]
        return True

    def is_valid(self, key: str, entry: Entry[V]) -> bool:
        """Return whether the value was read after the last change that we know of."""
        return self.is_current(key, entry.read_at_s)

    def is_current(self, key: str, read_at_s: float) -> bool:
        """Return whether a value read then was read after the last change that we know of."""
        return read_at_s > self._forgotten.get(key, float("-inf"))

    def forget(self, keys: Iterable[str], now_s: float) -> None:
        """Drop the values of keys that have just changed."""
        for key in keys:
            self._entries.pop(key, None)
            self._forgotten.pop(key, None)
            self._forgotten[key] = now_s
        for key in list(self._forgotten):
            if self._forgotten[key] >= now_s - self._keep_s:
                break
            del self._forgotten[key]
