"""Celebrities' newest posts, pulled once for all their readers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from target_app.clock import Clock
from target_app.edge import EdgeError
from target_app.feed.recall import Recall

__all__ = ["CelebrityPosts"]

# How old a list may be: the time after which a celebrity's post is seen by everybody at the
# latest. Per celebrity the graph is asked at most once in this time, however many read.
FRESH_S = 3.0

# How long a list may serve while the graph is lost.
KEEP_S = 60.0

# A celebrity is somebody whom a tenth of all users follow; far fewer than this exist.
CAPACITY = 10_000


class CelebrityPosts:
    """Remembers the newest post ids of each celebrity; one load at a time per celebrity."""

    def __init__(self, load: Callable[[int], Awaitable[Sequence[int]]], clock: Clock) -> None:
        self._load = load
        self._clock = clock
        self._known: Recall[int, Sequence[int]] = Recall(capacity=CAPACITY, keep_s=KEEP_S)
        self._loading: dict[int, asyncio.Task[Sequence[int]]] = {}

    async def newest(self, author_id: int) -> Sequence[int]:
        """Return the ids, newest first; raise EdgeError if they are neither known nor to be had.

        The load runs to its end even if the caller that began it goes away.
        """
        known = self._known.recall(author_id, now=self._clock.monotonic())
        if known is not None and known.age_s <= FRESH_S:
            return known.value
        task = self._loading.get(author_id)
        if task is None:
            task = asyncio.create_task(self._refresh(author_id))
            self._loading[author_id] = task
            task.add_done_callback(lambda done: self._note_done(author_id, done))
        try:
            return await asyncio.shield(task)
        except EdgeError:
            if known is None:
                raise
            return known.value

    async def _refresh(self, author_id: int) -> Sequence[int]:
        post_ids = await self._load(author_id)
        self._known.remember(author_id, post_ids, now=self._clock.monotonic())
        return post_ids

    def _note_done(self, author_id: int, task: asyncio.Task[Sequence[int]]) -> None:
        del self._loading[author_id]
        # Every waiter may have gone away; an error must not be reported as never retrieved.
        if not task.cancelled():
            task.exception()
