"""Which worker sends which arrival: a pure function of the schedule and of what has happened.

A dealing is a list of changes, oldest first. To find the owner of slot ``i`` (the i-th arrival of
the schedule, intended at ``t``) the changes with ``from_s <= t`` are applied in order:

- an `Epoch` gives it to ``workers[i mod n]`` anew; its rank is ``i div n``;
- a `Takeover` gives it, if it belongs to ``lost``, to ``heirs[rank mod k]``, and the rank becomes
  ``rank div k``: what one worker leaves behind is spread evenly, and nobody else's slots move.

So a takeover only ever adds slots to those who stay, and someone who has not heard of it yet
sends less, never the same. An epoch takes slots away: it may begin only where nobody has leave to
send yet (see `surgeproof.load.fleet.roster`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surgeproof.errors import FormatError

__all__ = ["Change", "Dealing", "Epoch", "Slots", "Takeover"]

Slots = NDArray[np.int64]
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Epoch:
    """From ``from_s`` on (seconds since t0) every slot is dealt anew among ``workers``."""

    from_s: float
    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Takeover:
    """From ``from_s`` on the slots of worker ``lost`` belong to ``heirs``, in turn."""

    from_s: float
    lost: int
    heirs: tuple[int, ...]


Change = Epoch | Takeover


@dataclass(frozen=True, slots=True)
class Dealing:
    """All changes so far, oldest first; workers are numbers of 0 and above."""

    changes: tuple[Change, ...] = ()

    def then(self, change: Change) -> Dealing:
        """Return the dealing with one more change.

        Raises:
            ValueError: the change deals to nobody, or twice to one.
        """
        dealt_to = change.workers if isinstance(change, Epoch) else change.heirs
        if not dealt_to or len(set(dealt_to)) != len(dealt_to):
            raise ValueError(f"slots dealt to {dealt_to}; accepted: one or more workers, once each")
        return Dealing((*self.changes, change))

    def owners(self, slots: Slots, times_s: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return the owner of each slot, -1 where it has none.

        ``slots`` are places in the schedule and ``times_s`` their intended moments, one each.
        """
        owners = np.full(len(slots), NOBODY, dtype=np.int32)
        ranks = np.zeros(len(slots), dtype=np.int64)
        for change in self.changes:
            moved = times_s >= change.from_s
            if isinstance(change, Epoch):
                dealt_to, ranks = change.workers, np.where(moved, slots, ranks)
            else:
                dealt_to, moved = change.heirs, moved & (owners == change.lost)
            to = np.asarray(dealt_to, dtype=np.int32)
            owners = np.where(moved, to[ranks % len(to)], owners)
            ranks = np.where(moved, ranks // len(to), ranks)
        return owners

    def to_data(self) -> list[dict[str, object]]:
        """Return the changes as plain data for a message."""
        return [
            {"from_s": change.from_s, "workers": list(change.workers)}
            if isinstance(change, Epoch)
            else {"from_s": change.from_s, "lost": change.lost, "heirs": list(change.heirs)}
            for change in self.changes
        ]

    @classmethod
    def from_data(cls, data: Sequence[Mapping[str, object]]) -> Dealing:
        """Read the changes of a message.

        Raises:
            FormatError: they are none.
        """
        try:
            changes = tuple(map(_change, data))
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"this is no dealing: {error!r}") from error
        return cls(changes)


def _change(item: Mapping[str, object]) -> Change:
    from_s = float(_number(item["from_s"]))
    if "workers" in item:
        return Epoch(from_s, _workers(item["workers"]))
    return Takeover(from_s, int(_number(item["lost"])), _workers(item["heirs"]))


def _workers(value: object) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"workers {value!r}; accepted: a list of numbers")
    return tuple(int(_number(each)) for each in value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value
