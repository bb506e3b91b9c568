"""Celebrities' newest posts, pulled once for all their readers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from target_app.clock import Clock
from target_app.edge import EdgeError
from target_app.feed.recall import Recall

__all__ = ["CelebrityPosts"]

# A list is loaded anew as soon as the worker has announced a newer post, and at this age anyway,
# for when announcements are late. Per celebrity one load serves all, however many read.
FRESH_S = 3.0

# How long a list may serve while the graph is lost.
KEEP_S = 60.0

# A celebrity is somebody whom a tenth of all users follow; far fewer than this exist.
CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class _Listed:
    """Post ids, newest first, loaded when ``announced`` had been heard of."""

    post_ids: Sequence[int]
    announced: int


class CelebrityPosts:
    """Remembers the newest post ids of each celebrity; one load at a time per celebrity."""

    def __init__(self, load: Callable[[int], Awaitable[Sequence[int]]], clock: Clock) -> None:
        self._load = load
        self._clock = clock
        self._known: Recall[int, _Listed] = Recall(capacity=CAPACITY, keep_s=KEEP_S)
        self._loading: dict[int, asyncio.Task[_Listed]] = {}

    async def newest(self, author_id: int, announced: int = 0) -> Sequence[int]:
        """Return the ids, newest first; raise EdgeError if they are neither known nor to be had.

        They are at least as new as the post ``announced``, unless that is gone or the graph lost.
        A load runs to its end even if the caller that began it goes away.
        """
        while True:
            known = self._known.recall(author_id, now=self._clock.monotonic())
            if known is not None and known.age_s <= FRESH_S and known.value.announced >= announced:
                return known.value.post_ids
            task = self._loading.get(author_id) or self._begin(author_id, announced)
            try:
                listed = await asyncio.shield(task)
            except EdgeError:
                if known is None:
                    raise
                return known.value.post_ids
            # A load that was under way may have missed what was announced since.
            if listed.announced >= announced:
                return listed.post_ids

    def _begin(self, author_id: int, announced: int) -> asyncio.Task[_Listed]:
        task = asyncio.create_task(self._refresh(author_id, announced))
        self._loading[author_id] = task
        task.add_done_callback(lambda done: self._note_done(author_id, done))
        return task

    async def _refresh(self, author_id: int, announced: int) -> _Listed:
        listed = _Listed(await self._load(author_id), announced)
        self._known.remember(author_id, listed, now=self._clock.monotonic())
        return listed

    def _note_done(self, author_id: int, task: asyncio.Task[_Listed]) -> None:
        del self._loading[author_id]
        # Every waiter may have gone away; an error must not be reported as never retrieved.
        if not task.cancelled():
            task.exception()
