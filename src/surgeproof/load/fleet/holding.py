"""What one worker holds: the slots that it has been dealt and has leave to send."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from surgeproof.load.fleet.dealing import Dealing, Slots

__all__ = ["Holding"]


class Holding:
    """The slots of worker ``number``, growing with its leave and never shrinking.

    ``times_s`` are the schedule's moments, sorted. What was given to the worker once stays its
    own: what a newer dealing says of slots within its leave can only add to them.
    """

    def __init__(self, number: int, times_s: NDArray[np.float64]) -> None:
        self._number, self._times_s = number, times_s
        self._held = np.zeros(len(times_s), dtype=np.bool_)
        self._dealing = Dealing()
        self._until_s = 0.0

    @property
    def until_s(self) -> float:
        return self._until_s

    def update(self, dealing: Dealing, until_s: float) -> Slots:
        """Return the slots that a dealing and a leave add, in order; an old message adds none."""
        known = len(self._dealing.changes)
        if len(dealing.changes) < known or until_s < self._until_s:
            return np.empty(0, dtype=np.int64)
        fresh = dealing.changes[known:]
        first_s = min([self._until_s, *(change.from_s for change in fresh)])
        low, high = np.searchsorted(self._times_s, [first_s, until_s])
        slots = np.arange(low, high, dtype=np.int64)
        owners = dealing.owners(slots, self._times_s[low:high])
        added: Slots = slots[(owners == self._number) & ~self._held[low:high]]
        self._held[added] = True
        self._dealing, self._until_s = dealing, until_s
        return added
