"""A bounded memory with ages: the last good answers, for when the fresh ones cannot be had."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Recall", "Recalled"]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Recalled(Generic[Value]):
    """A remembered value and its age in seconds."""

    value: Value
    age_s: float


class Recall(Generic[Key, Value]):
    """Keeps at most ``capacity`` values, each for at most ``keep_s`` seconds.

    When it is full the value set longest ago leaves. The time is an argument of every call
    (seconds on any clock that does not run backwards): the memory itself never reads one.
    """

    def __init__(self, *, capacity: int, keep_s: float) -> None:
        self._capacity = capacity
        self._keep_s = keep_s
        self._values: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def remember(self, key: Key, value: Value, *, now: float) -> None:
        """Set the value; the oldest one leaves if there is no room."""
        self._values[key] = (now, value)
        self._values.move_to_end(key)
        if len(self._values) > self._capacity:
            self._values.popitem(last=False)

    def recall(self, key: Key, *, now: float) -> Recalled[Value] | None:
        """Return the value with its age, or None if there is none or it is too old."""
        found = self._values.get(key)
        if found is None:
            return None
        set_at, value = found
        age_s = max(0.0, now - set_at)
        if age_s > self._keep_s:
            del self._values[key]
            return None
        return Recalled(value=value, age_s=age_s)

    def forget(self, key: Key) -> None:
        """Drop the value, if there is one."""
        self._values.pop(key, None)
