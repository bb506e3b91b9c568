"""Ids that sort by time and name their logical shard.

An id has 53 bits, so that JSON readers with double-precision numbers keep it exact::

    38 bits  milliseconds since 2026-01-01 UTC (until September 2034)
     4 bits  logical shard, 0 to 15: that of the owning user
     3 bits  node: which process made it
     8 bits  sequence within the millisecond
"""

from __future__ import annotations

from target_app.clock import Clock

__all__ = ["EPOCH_S", "IdGenerator", "created_at_s", "make_id", "shard_of"]

# 2026-01-01T00:00:00Z
EPOCH_S = 1_767_225_600
_SHARD_BITS = 4
_NODE_BITS = 3
_SEQUENCE_BITS = 8
_LOW_BITS = _SHARD_BITS + _NODE_BITS + _SEQUENCE_BITS
_SEQUENCES = 1 << _SEQUENCE_BITS


def make_id(milliseconds: int, *, shard: int, node: int = 0, sequence: int = 0) -> int:
    """Return the id made of these parts; ``milliseconds`` count from :data:`EPOCH_S`."""
    low = (shard << (_NODE_BITS + _SEQUENCE_BITS)) | (node << _SEQUENCE_BITS) | sequence
    return (milliseconds << _LOW_BITS) | low


def shard_of(identifier: int) -> int:
    """Return the logical shard that an id names."""
    return (identifier >> (_NODE_BITS + _SEQUENCE_BITS)) & ((1 << _SHARD_BITS) - 1)


def created_at_s(identifier: int) -> float:
    """Return when an id was made, in seconds since 1970 UTC with millisecond resolution."""
    return EPOCH_S + (identifier >> _LOW_BITS) / 1000


class IdGenerator:
    """Makes rising ids; when a millisecond is used up, or the clock goes back, it runs ahead."""

    def __init__(self, clock: Clock, *, node: int) -> None:
        self._clock = clock
        self._node = node
        self._milliseconds = 0
        self._sequence = 0

    def next(self, *, shard: int | None = None) -> int:
        """Return a new id on ``shard``, or spread over all shards if ``None``."""
        now = int((self._clock.wall() - EPOCH_S) * 1000)
        if now > self._milliseconds:
            self._milliseconds = now
            self._sequence = 0
        else:
            self._sequence += 1
            if self._sequence == _SEQUENCES:
                self._milliseconds += 1
                self._sequence = 0
        if shard is None:
            shard = (self._milliseconds + self._sequence) % (1 << _SHARD_BITS)
        return make_id(self._milliseconds, shard=shard, node=self._node, sequence=self._sequence)
