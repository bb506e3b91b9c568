"""A look-aside cache of two tiers: memory of this process, then Redis.

Values younger than ``fresh_s`` are used as they are. Older ones are kept, up to ``keep_s``, for
the time while the database is lost. Loss of Redis costs hits, never an answer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec
from prometheus_client import Counter
from redis.asyncio import Redis

from target_app.clock import Clock
from target_app.edge.deadline import Deadline
from target_app.edge.errors import EdgeError
from target_app.edge.redis import RedisEdge
from target_app.graph.memory import Entry, Memory

__all__ = ["Cache", "CacheContext", "CachePolicy", "Found"]

V = TypeVar("V")

# Writes to the second tier that may be under way; more are skipped, as a cache may.
_MOST_WRITES = 64
# Expiry is spread over this part of the keeping time, so that keys do not expire together.
_EXPIRY_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How one kind of value is cached; ``prefix`` starts its keys in Redis."""

    prefix: str
    fresh_s: float
    keep_s: float
    capacity: int


@dataclass(frozen=True, slots=True)
class Found(Generic[V]):
    """Values by key: ``fresh`` ones to use, ``stale`` ones for when there is nothing better."""

    fresh: dict[str, V]
    stale: dict[str, Entry[V]]


class _ErrorSink(Protocol):
    def note_error(self, feature: str, error: Exception) -> None: ...

    def fallback_allowed(self, edge: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class CacheContext:
    """What all caches of a process share; ``requests`` is labelled by cache and result."""

    redis: RedisEdge
    clock: Clock
    errors: _ErrorSink
    requests: Counter


class Cache(Generic[V]):
    """Caches values of one type. Belongs to one event loop."""

    def __init__(self, context: CacheContext, policy: CachePolicy, type_: type[V]) -> None:
        self._context = context
        self._policy = policy
        self._memory: Memory[V] = Memory(capacity=policy.capacity, keep_s=policy.keep_s)
        self._decoder = msgspec.msgpack.Decoder(tuple[float, type_])  # type: ignore[valid-type]  # mypy sees no type in a variable
        self._encoder = msgspec.msgpack.Encoder()
        self._writes: set[asyncio.Task[None]] = set()
        self._jitter = random.Random()
        self._count = {
            result: context.requests.labels(policy.prefix, result)
            for result in ("hit", "miss", "stale")
        }

    @property
    def name(self) -> str:
        """The prefix of the cache's keys."""
        return self._policy.prefix

    async def read(self, keys: Sequence[str], deadline: Deadline | None = None) -> Found[V]:
        """Look keys up in memory, and those without a fresh value in Redis."""
        now_s = self._context.clock.wall()
        found: Found[V] = Found({}, {})
        for key in keys:
            self._sort_in(found, key, self._memory.get(key), now_s)
        rest = [key for key in keys if key not in found.fresh]
        if rest:
            for key, entry in (await self._read_redis(rest, deadline)).items():
                if self._memory.put(key, entry):
                    self._sort_in(found, key, entry, now_s)
        self._count["hit"].inc(len(found.fresh))
        self._count["miss"].inc(len(keys) - len(found.fresh))
        return found

    def store(self, values: Mapping[str, V], *, read_at_s: float) -> None:
        """Keep values read from the database at ``read_at_s`` (before the query was sent).

        Redis is written in the background: a request never waits for it.
        """
        entries = {key: Entry(value, read_at_s) for key, value in values.items()}
        kept = {key: entry for key, entry in entries.items() if self._memory.put(key, entry)}
        if not kept or len(self._writes) >= _MOST_WRITES:
            return
        task = asyncio.create_task(self._write_redis(kept))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def forget(self, *keys: str) -> None:
        """Drop values that have just changed; when this returns no reader here sees them."""
        if not keys:
            return
        self._memory.forget(keys, self._context.clock.wall())
        names = [self._name(key) for key in keys]
        try:
            await self._context.redis.run(lambda redis: redis.delete(*names))
        except EdgeError as error:
            # Memory remembers what was forgotten, so the old value in Redis does no harm here.
            self._context.errors.note_error("cache", error)

    def peek(self, key: str) -> V | None:
        """Return what memory has of a key, however old."""
        entry = self._memory.get(key)
        return None if entry is None else entry.value

    def is_current(self, key: str, read_at_s: float) -> bool:
        """Return whether a value read then was read after the last change that we know of."""
        return self._memory.is_current(key, read_at_s)

    def note_stale(self, count: int) -> None:
        """Count stale values that were used."""
        self._count["stale"].inc(count)

    def _sort_in(self, found: Found[V], key: str, entry: Entry[V] | None, now_s: float) -> None:
        if entry is None:
            return
        age_s = now_s - entry.read_at_s
        if age_s <= self._policy.fresh_s:
            found.fresh[key] = entry.value
            found.stale.pop(key, None)
        elif age_s <= self._policy.keep_s:
            found.stale[key] = entry

    async def _read_redis(
        self, keys: Sequence[str], deadline: Deadline | None
    ) -> dict[str, Entry[V]]:
        names = [self._name(key) for key in keys]
        redis = self._context.redis
        try:
            values = await redis.run(lambda client: client.mget(names), deadline=deadline)
        except EdgeError as error:
            if not self._context.errors.fallback_allowed(redis.client.policy.name):
                raise
            self._context.errors.note_error("cache", error)
            return {}
        entries: dict[str, Entry[V]] = {}
        for key, value in zip(keys, values, strict=True):
            if isinstance(value, bytes):
                read_at_s, decoded = self._decoder.decode(value)
                entries[key] = Entry(decoded, read_at_s)
        return entries

    async def _write_redis(self, entries: Mapping[str, Entry[V]]) -> None:
        spread = self._jitter.uniform(1 - _EXPIRY_SPREAD, 1)
        expiry_s = max(int(self._policy.keep_s * spread), 1)
        redis = self._context.redis

        async def write(client: Redis) -> None:
            pipeline = client.pipeline(transaction=False)
            for key, entry in entries.items():
                value = self._encoder.encode((entry.read_at_s, entry.value))
                pipeline.set(self._name(key), value, ex=expiry_s)
            await pipeline.execute()

        try:
            await redis.run(write)
        except EdgeError as error:
            self._context.errors.note_error("cache", error)

    def _name(self, key: str) -> str:
        return f"{self._policy.prefix}:{key}"
