"""Timelines in Redis: one round trip to read all that a page needs, one to build."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
from redis.asyncio import Redis

from target_app.edge import Deadline, RedisEdge
from target_app.feed.keys import (
    BUILD_SCRIPT,
    BUILDING,
    BUILT,
    FANOUT_KEY,
    KEEP_S,
    TIMELINE_CAP,
    TRENDING_KEY,
    FanoutStatus,
    TrendingList,
    affinity_key,
    celebrities_key,
    timeline_key,
)

__all__ = ["Snapshot", "Timelines"]

_IDS = msgspec.msgpack.Decoder(list[int])
_STATUS = msgspec.msgpack.Decoder(FanoutStatus)
_TRENDING = msgspec.json.Decoder(TrendingList)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that Redis knows for one page of one viewer.

    ``post_ids`` are newest first. Unless ``is_built`` they are only the posts since the first
    read, and ``celebrities`` is empty. ``fanout`` is None if the worker has never reported.
    """

    is_built: bool
    post_ids: Sequence[int]
    celebrities: Sequence[int] = ()
    interactions: dict[int, int] = field(default_factory=dict)
    fanout: FanoutStatus | None = None


class Timelines:
    """Reads and builds timelines over the edge; every method raises EdgeError if it is lost."""

    def __init__(self, edge: RedisEdge) -> None:
        self._edge = edge

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
            pipeline.get(FANOUT_KEY)
            return cast("list[object]", await pipeline.execute())

        built, members, celebrities, affinity, status = await self._edge.run(
            commands, deadline=deadline
        )
        return Snapshot(
            is_built=built is not None and celebrities is not None,
            post_ids=[
                int(member)
                for member in cast("list[bytes]", members)
                if member not in (BUILT, BUILDING)
            ],
            celebrities=() if celebrities is None else _IDS.decode(cast("bytes", celebrities)),
            interactions={
                int(author): int(count)
                for author, count in cast("dict[bytes, bytes]", affinity).items()
            },
            fanout=None if status is None else _STATUS.decode(cast("bytes", status)),
        )

    async def begin_building(self, viewer_id: int, *, deadline: Deadline) -> None:
        """Create the timeline, so that posts from now on are pushed into it.

        Must be done before the graph is read: a post made between that read and
        :meth:`finish_building` would otherwise be in neither.
        """
        key = timeline_key(viewer_id)

        async def commands(redis: Redis) -> object:
            pipeline = redis.pipeline(transaction=False)
            pipeline.zadd(key, {BUILDING: 0})
            pipeline.expire(key, KEEP_S)
            return await pipeline.execute()

        await self._edge.run(commands, deadline=deadline)

    async def finish_building(
        self,
        viewer_id: int,
        post_ids: Iterable[int],
        celebrities: Sequence[int],
        *,
        deadline: Deadline,
    ) -> None:
        """Add the history and the celebrities, and mark the timeline as built.

        Does nothing if the timeline was dropped since :meth:`begin_building` (a follow was made):
        what was read from the graph may be of before.
        """
        keys = (timeline_key(viewer_id), celebrities_key(viewer_id))
        packed = msgspec.msgpack.encode(list(celebrities))
        settings: tuple[bytes | int, ...] = (BUILDING, BUILT, TIMELINE_CAP, KEEP_S, packed)
        arguments = (*settings, *post_ids)

        async def commands(redis: Redis) -> object:
            return await redis.eval(BUILD_SCRIPT, len(keys), *keys, *arguments)

        await self._edge.run(commands, deadline=deadline)

    async def trending(self, *, deadline: Deadline) -> TrendingList | None:
        """Return the list that the worker wrote last, None if there is none."""

        async def commands(redis: Redis) -> object:
            return await redis.get(TRENDING_KEY)

        raw = await self._edge.run(commands, deadline=deadline)
        return None if raw is None else _TRENDING.decode(cast("bytes", raw))
