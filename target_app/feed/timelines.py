"""Timelines in Redis: one round trip to read all that a page needs, one to build."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import cast

import msgspec
from redis.asyncio import Redis

from target_app.edge import Deadline, RedisEdge
from target_app.feed.keys import (
    ANNOUNCED_KEY,
    BUILD_SCRIPT,
    BUILDING,
    BUILT,
    FANOUT_KEY,
    GONE_KEY,
    KEEP_S,
    TIMELINE_CAP,
    TRENDING_KEY,
    FanoutStatus,
    Ties,
    TrendingList,
    affinity_key,
    celebrities_key,
    timeline_key,
)

__all__ = ["Snapshot", "Timelines"]

_TIES = msgspec.msgpack.Decoder(Ties)
_MOST_TOKEN = 2**50
_STATUS = msgspec.msgpack.Decoder(FanoutStatus)
_TRENDING = msgspec.json.Decoder(TrendingList)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that Redis knows for one page of one viewer.

    ``post_ids`` are newest first. Without ``ties`` the timeline is not built, and they are only
    the posts since the first read. With ``is_whole`` there are no older posts than the timeline's.
    ``likes`` are the viewer's by author, ``announced`` the last posts of celebrities. ``fanout`` is
    None if the worker has never reported.
    """

    post_ids: Sequence[int]
    ties: Ties | None
    is_whole: bool = True
    likes: dict[int, int] = field(default_factory=dict)
    announced: dict[int, int] = field(default_factory=dict)
    fanout: FanoutStatus | None = None


class Timelines:
    """Reads and builds timelines over the edge; every method raises EdgeError if it is lost."""

    def __init__(self, edge: RedisEdge, random: Random) -> None:
        self._edge = edge
        self._random = random

    async def read(
        self, viewer_id: int, *, before: int | None, count: int, deadline: Deadline
    ) -> Snapshot:
        """Return the newest ``count`` post ids before ``before`` and what else a page needs."""
        key = timeline_key(viewer_id)
        # Scores are post ids, which have 53 bits: a double holds them exactly.
        high = "+inf" if before is None else f"({before}"

        async def commands(redis: Redis) -> list[object]:
            pipeline = redis.pipeline(transaction=False)
            pipeline.zscore(key, BUILT)
            # One more than asked for: the mark BUILT sorts first.
            pipeline.zrevrangebyscore(key, high, "-inf", start=0, num=count + 1)
            pipeline.get(celebrities_key(viewer_id))
            pipeline.hgetall(affinity_key(viewer_id))
            pipeline.hgetall(ANNOUNCED_KEY)
            pipeline.zcard(key)
            pipeline.get(FANOUT_KEY)
            return cast("list[object]", await pipeline.execute())

        built, members, packed, likes, announced, size, status = await self._edge.run(
            commands, deadline=deadline
        )
        ties = None
        if built is not None and packed is not None:
            ties = _TIES.decode(cast("bytes", packed))
        return Snapshot(
            post_ids=[
                int(member)
                for member in cast("list[bytes]", members)
                if member not in (BUILT, BUILDING)
            ],
            ties=ties,
            # A full timeline has lost its tail.
            is_whole=ties is not None and ties.is_whole and cast("int", size) <= TIMELINE_CAP,
            likes=_numbers(likes),
            announced=_numbers(announced),
            fanout=None if status is None else _STATUS.decode(cast("bytes", status)),
        )

    async def begin_building(self, viewer_id: int, *, deadline: Deadline) -> int:
        """Create the timeline, so that posts from now on are pushed into it; return a token.

        Must be done before the graph is read: a post made between that read and
        :meth:`finish_building` would otherwise be in neither. Of two that build one timeline at a
        time the later one wins.
        """
        key = timeline_key(viewer_id)
        token = self._random.randint(1, _MOST_TOKEN)

        async def commands(redis: Redis) -> object:
            pipeline = redis.pipeline(transaction=False)
            pipeline.zadd(key, {BUILDING: -token})
            pipeline.expire(key, KEEP_S)
            return await pipeline.execute()

        await self._edge.run(commands, deadline=deadline)
        return token

    async def finish_building(
        self, viewer_id: int, token: int, post_ids: Iterable[int], ties: Ties, *, deadline: Deadline
    ) -> None:
        """Add the history and the ties, and mark the timeline as built.

        Does nothing if the timeline was dropped since :meth:`begin_building` gave the token (a
        follow was made), or is being built anew: what was read from the graph may be of before.
        """
        keys = (timeline_key(viewer_id), celebrities_key(viewer_id))
        packed = msgspec.msgpack.encode(ties)
        settings: tuple[bytes | int, ...] = (BUILDING, -token, BUILT, TIMELINE_CAP, KEEP_S, packed)
        arguments = (*settings, *post_ids)

        async def commands(redis: Redis) -> object:
            return await redis.eval(BUILD_SCRIPT, len(keys), *keys, *arguments)

        await self._edge.run(commands, deadline=deadline)

    async def renew_ties(self, viewer_id: int, ties: Ties, *, deadline: Deadline) -> None:
        """Replace the ties of a timeline that is there."""
        packed = msgspec.msgpack.encode(ties)

        async def commands(redis: Redis) -> object:
            return await redis.set(celebrities_key(viewer_id), packed, xx=True, keepttl=True)

        await self._edge.run(commands, deadline=deadline)

    async def gone_posts(self, *, deadline: Deadline) -> frozenset[int]:
        """Return the posts that were deleted of late."""

        async def commands(redis: Redis) -> object:
            return await redis.zrange(GONE_KEY, 0, -1)

        found = await self._edge.run(commands, deadline=deadline)
        return frozenset(int(member) for member in cast("list[bytes]", found))

    async def trending(self, *, deadline: Deadline) -> TrendingList | None:
        """Return the list that the worker wrote last, None if there is none."""

        async def commands(redis: Redis) -> object:
            return await redis.get(TRENDING_KEY)

        raw = await self._edge.run(commands, deadline=deadline)
        return None if raw is None else _TRENDING.decode(cast("bytes", raw))


def _numbers(found: object) -> dict[int, int]:
    return {int(key): int(value) for key, value in cast("dict[bytes, bytes]", found).items()}
