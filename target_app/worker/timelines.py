"""What the worker writes into the timeline Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec
from redis.asyncio import Redis

from target_app.edge import RedisEdge
from target_app.feed.keys import (
    ANNOUNCED_KEY,
    FANOUT_KEY,
    GONE_KEEP_S,
    GONE_KEY,
    KEEP_S,
    PUSH_SCRIPT,
    TIMELINE_CAP,
    TRENDING_KEY,
    FanoutStatus,
    TrendingList,
    affinity_key,
    celebrities_key,
    timeline_key,
)

__all__ = ["TimelineWriter"]


class TimelineWriter:
    """Writes over the edge ``worker-timeline``; every method raises EdgeError if it is lost."""

    def __init__(self, edge: RedisEdge) -> None:
        self._edge = edge

    async def push(self, post_id: int, user_ids: Sequence[int]) -> int:
        """Put a post into those of the users' timelines that exist; return how many these are."""
        keys = [timeline_key(user_id) for user_id in user_ids]

        async def commands(redis: Redis) -> object:
            return await redis.eval(PUSH_SCRIPT, len(keys), *keys, post_id, TIMELINE_CAP)

        return cast("int", await self._edge.run(commands))

    async def announce(self, author_id: int, post_id: int) -> None:
        """Say that there is a post that is not pushed: readers pull it with their next page."""

        async def commands(redis: Redis) -> object:
            return await redis.hset(ANNOUNCED_KEY, str(author_id), str(post_id))

        await self._edge.run(commands)

    async def hide_posts(self, post_ids: Sequence[int], *, now: float) -> None:
        """Have posts left out of pages that are shown from memory."""
        members = {str(post_id): now for post_id in post_ids}

        async def commands(redis: Redis) -> object:
            pipeline = redis.pipeline(transaction=False)
            pipeline.zadd(GONE_KEY, members)
            pipeline.zremrangebyscore(GONE_KEY, "-inf", now - GONE_KEEP_S)
            return await pipeline.execute()

        await self._edge.run(commands)

    async def drop(self, user_ids: Sequence[int]) -> None:
        """Drop timelines, to be built anew when their owners next read them."""
        keys = [timeline_key(user_id) for user_id in user_ids]
        keys += [celebrities_key(user_id) for user_id in user_ids]

        async def commands(redis: Redis) -> object:
            return await redis.delete(*keys)

        await self._edge.run(commands)

    async def add_affinity(self, user_id: int, author_id: int) -> None:
        """Count one interaction of a user with an author; a repeated call counts twice."""
        key = affinity_key(user_id)

        async def commands(redis: Redis) -> object:
            pipeline = redis.pipeline(transaction=True)
            pipeline.hincrby(key, str(author_id), 1)
            pipeline.expire(key, KEEP_S)
            return await pipeline.execute()

        await self._edge.run(commands, idempotent=False)

    async def report(self, status: FanoutStatus, trending: TrendingList) -> None:
        """Say how far behind the worker is, and what is trending."""
        packed = msgspec.msgpack.encode(status)
        listed = msgspec.json.encode(trending)

        async def commands(redis: Redis) -> object:
            return await redis.mset({FANOUT_KEY: packed, TRENDING_KEY: listed})

        await self._edge.run(commands)
