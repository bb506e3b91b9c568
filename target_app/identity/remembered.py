"""The last known answers, for the time while the database is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from target_app.clock import Clock

__all__ = ["Remembered", "RememberedAnswer"]


@dataclass(frozen=True, slots=True)
class RememberedAnswer:
    """An answer and its age in seconds."""

    value: Mapping[str, object]
    age_s: float


class Remembered:
    """Keeps the ``capacity`` newest answers for ``keep_s`` seconds."""

    def __init__(self, clock: Clock, *, keep_s: float, capacity: int) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._capacity = capacity
        # In the order of writing, oldest first.
        self._answers: dict[str, tuple[float, Mapping[str, object]]] = {}

    def put(self, key: str, value: Mapping[str, object]) -> None:
        """Remember an answer in place of an older one."""
        self._answers.pop(key, None)
        self._answers[key] = (self._clock.monotonic(), value)
        if len(self._answers) > self._capacity:
            del self._answers[next(iter(self._answers))]

    def get(self, key: str) -> RememberedAnswer | None:
        """Return the last answer, ``None`` if there is none or it is too old."""
        found = self._answers.get(key)
        if found is None:
            return None
        age_s = self._clock.monotonic() - found[0]
        return RememberedAnswer(found[1], age_s) if age_s <= self._keep_s else None
