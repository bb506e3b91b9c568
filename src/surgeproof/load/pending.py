"""The arrivals that an engine has still to start, in order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from surgeproof.load.schedule import Schedule

__all__ = ["Pending"]

# Moments become plain numbers this many at a time: quick enough (80 microseconds) to go unseen in
# the schedule, and a run of ten million arrivals never holds them all as objects.
_CHUNK = 1024

Slots = NDArray[np.int64]


class Pending:
    """Slots of a schedule, taken as their moments come; belongs to one thread.

    ``next_s`` is the moment of the next one in seconds since t0, None when all are taken.
    """

    def __init__(self, schedule: Schedule, slots: Slots | None = None) -> None:
        self._schedule = schedule
        self._slots = np.arange(len(schedule), dtype=np.int64) if slots is None else slots
        # All slots before `_loaded` are in the chunk, or were.
        self._loaded = 0
        self._at = 0
        self._moments: list[float] = []
        self._rows: list[tuple[int, float, int, int]] = []
        self.taken = 0
        self.next_s: float | None = None
        self._load()

    def take(self, now_s: float) -> Iterator[tuple[int, float, int, int]]:
        """Yield (slot, moment in seconds since t0, journey, phase) of all that are due by now."""
        while self.next_s is not None and self.next_s <= now_s:
            row = self._rows[self._at]
            self._at += 1
            self.taken += 1
            if self._at < len(self._moments):
                self.next_s = self._moments[self._at]
            else:
                self._load()
            yield row

    def add(self, slots: Slots) -> None:
        """Take these slots too, in order; none of them may have been given before."""
        left = self._left()
        # What is added mostly comes after what there is, and a sort would be felt in the schedule.
        follows = not len(left) or not len(slots) or slots[0] > left[-1]
        self._slots = np.concatenate([left, slots]) if follows else np.union1d(left, slots)
        self._loaded = 0
        self._load()

    def cut(self, from_s: float) -> None:
        """Give up all slots not yet taken at or after ``from_s``."""
        left = self._left()
        self._slots = left[self._schedule.times_s[left] < from_s]
        self._loaded = 0
        self._load()

    def _left(self) -> Slots:
        return self._slots[self._loaded - len(self._rows) + self._at :]

    def _load(self) -> None:
        slots = self._slots[self._loaded : self._loaded + _CHUNK]
        self._loaded += len(slots)
        self._at = 0
        schedule = self._schedule
        self._moments = schedule.times_s[slots].tolist()
        self._rows = list(
            zip(
                slots.tolist(),
                self._moments,
                schedule.journey_index[slots].tolist(),
                schedule.phase_index[slots].tolist(),
                strict=True,
            )
        )
        self.next_s = self._moments[0] if self._moments else None
