"""Leases against stampedes: of many who miss the same key, one asks the database.

As in "Scaling Memcache at Facebook" (NSDI 2013): the cache hands out one token per key and a
moment; who gets none takes a stale value, or waits a little for the one who did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from prometheus_client import Counter
from redis.asyncio import Redis

from target_app.edge.deadline import Deadline
from target_app.edge.errors import EdgeError
from target_app.edge.redis import RedisEdge

__all__ = ["Leases"]

# Longer than a read takes, so that the holder is done or lost by then.
_HOLD_MS = 300
_LOOK_S = 0.02
_LOOKS = 3


class Leases:
    """The leases of all caches of a process, kept in Redis for all processes.

    ``is_on`` is asked each time; without Redis everybody has a lease.
    """

    def __init__(
        self,
        redis: RedisEdge,
        is_on: Callable[[], bool],
        note_error: Callable[[str, Exception], None],
        granted: Counter,
    ) -> None:
        self._redis, self._is_on, self._note_error = redis, is_on, note_error
        self._granted = granted

    async def take(self, keys: Sequence[str], deadline: Deadline) -> frozenset[str]:
        """Return those of the keys that the caller is to read from the database."""
        if not self._is_on() or not keys:
            return frozenset(keys)

        async def commands(redis: Redis) -> list[object]:
            pipeline = redis.pipeline(transaction=False)
            for key in keys:
                pipeline.set(f"lease:{key}", b"1", nx=True, px=_HOLD_MS)
            return cast("list[object]", await pipeline.execute())

        try:
            answers = await self._redis.run(commands, deadline=deadline)
        except EdgeError as error:
            self._note_error("cache", error)
            return frozenset(keys)
        granted = frozenset(key for key, answer in zip(keys, answers, strict=True) if answer)
        self._granted.inc(len(granted))
        return granted

    @staticmethod
    async def wait_for(found: Callable[[], Awaitable[bool]]) -> bool:
        """Look a few times whether what another one reads is there; False if it never was."""
        for _ in range(_LOOKS):
            await asyncio.sleep(_LOOK_S)
            if await found():
                return True
        return False
