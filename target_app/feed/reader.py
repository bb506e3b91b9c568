"""Reading one page of a home feed: what is pushed, what is pulled, and what to do without."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from target_app.edge import EdgeError, EdgeFailedError
from target_app.feed.cursor import Cursor
from target_app.feed.graph import Call, Post, Posts
from target_app.feed.keys import LAG_LIMIT_S, FanoutStatus
from target_app.feed.merge import merge
from target_app.feed.ranking import Candidate, rank
from target_app.feed.sources import CelebritySource, Marks, PostSource, ReaderHost, TimelineStore
from target_app.feed.timelines import Snapshot

__all__ = ["CELEBRITY_PAGE", "GRAPH_EDGE", "TIMELINE_EDGE", "FeedReader", "Page", "Question"]

Mode = Literal["ranked", "recency"]

TIMELINE_EDGE = "feed-timeline"
GRAPH_EDGE = "feed-graph"

# How many of a celebrity's posts take part; beyond, they are found on the profile.
CELEBRITY_PAGE = 20

# A ranked page is the better half of a window of this many pages.
WINDOW_PAGES = 2


@dataclass(frozen=True, slots=True)
class Question:
    """Which page is asked for."""

    viewer_id: int
    mode: Mode
    limit: int
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Page:
    """The posts in the order to be shown; ``next`` is None at the end of the feed."""

    items: Sequence[Post]
    next: Cursor | None


@dataclass(slots=True)
class _Window:
    """A stretch of the feed in time order, before ranking.

    ``known`` holds posts that came with the answers already; ``size`` is what was asked for.
    """

    post_ids: Sequence[int]
    size: int
    known: dict[int, Post] = field(default_factory=dict)
    interactions: dict[int, int] = field(default_factory=dict)


class FeedReader:
    """Answers questions for pages; raises EdgeError where nothing is left to fall back on."""

    def __init__(
        self,
        *,
        timelines: TimelineStore,
        graph: PostSource,
        celebrities: CelebritySource,
        host: ReaderHost,
    ) -> None:
        self._timelines = timelines
        self._graph = graph
        self._celebrities = celebrities
        self._host = host
        self._building: set[asyncio.Task[None]] = set()

    async def page(self, question: Question, call: Call, marks: Marks) -> Page:
        """Return the page; what is less than it should be is marked."""
        if question.cursor.rest:
            return await self._rest(question, call, marks)
        window = await self._window(question, call, marks)
        posts = await self._fetch(window, question.viewer_id, call, marks)
        is_last = len(window.post_ids) < window.size
        if question.mode == "recency":
            items = [posts[post_id] for post_id in window.post_ids if post_id in posts]
            return Page(items, None if is_last else Cursor(window.post_ids[-1]))
        order = rank(
            (_candidate(post) for post in posts.values()),
            now=self._host.clock.wall(),
            interactions=window.interactions,
        )
        items = [posts[post_id] for post_id in order[: question.limit]]
        rest = tuple(order[question.limit :])
        if is_last and not rest:
            return Page(items, None)
        return Page(items, Cursor(window.post_ids[-1], rest))

    async def _rest(self, question: Question, call: Call, marks: Marks) -> Page:
        """Show what an earlier page has ranked; nothing is ranked again."""
        shown = question.cursor.rest[: question.limit]
        answer = await self._graph.posts(shown, question.viewer_id, call)
        marks.relay(answer.degraded)
        posts = {post.id: post for post in answer.posts}
        rest = question.cursor.rest[question.limit :]
        items = [posts[post_id] for post_id in shown if post_id in posts]
        return Page(items, Cursor(question.cursor.position, rest))

    async def _window(self, question: Question, call: Call, marks: Marks) -> _Window:
        size = question.limit * (WINDOW_PAGES if question.mode == "ranked" else 1)
        before = question.cursor.position
        try:
            snapshot = await self._timelines.read(
                question.viewer_id, before=before, count=size, deadline=call.deadline
            )
            if not snapshot.is_built:
                await self._timelines.begin_building(question.viewer_id, deadline=call.deadline)
        except EdgeError as error:
            if not self._host.fallback_allowed(TIMELINE_EDGE):
                raise
            self._host.note_error("feed", error)
            marks.mark("pull", TIMELINE_EDGE)
            return await self._pulled(question, size, call, marks)
        self._mark_lag(snapshot.fanout, marks)
        if snapshot.is_built:
            return await self._pushed(snapshot, before, size, marks)
        return await self._built(question, snapshot, size, call, marks)

    async def _pushed(
        self, snapshot: Snapshot, before: int | None, size: int, marks: Marks
    ) -> _Window:
        """The ordinary way: the viewer's timeline with the celebrities' posts merged in."""
        pulled = await self._celebrity_posts(snapshot.celebrities, marks)
        post_ids = merge([snapshot.post_ids, *pulled], before=before, limit=size)
        return _Window(post_ids, size, interactions=snapshot.interactions)

    async def _built(
        self, question: Question, snapshot: Snapshot, size: int, call: Call, marks: Marks
    ) -> _Window:
        """The first read of a viewer: answered from the graph, and kept for the next one."""
        viewer_id = question.viewer_id
        recent, celebrities = await asyncio.gather(
            # A post that is missing here, and was pushed before the timeline existed, would be
            # missing from it for good.
            self._graph.recent(viewer_id, call, whole=True),
            self._graph.celebrities(viewer_id, call),
        )
        marks.relay(recent.degraded)
        if not recent.degraded:
            # An incomplete history must not be taken for the whole one later.
            self._keep(viewer_id, recent.posts, celebrities, call)
        known = {post.id: post for post in recent.posts}
        before = question.cursor.position
        post_ids = merge([known, snapshot.post_ids], before=before, limit=size)
        return _Window(post_ids, size, known, snapshot.interactions)

    async def _pulled(self, question: Question, size: int, call: Call, marks: Marks) -> _Window:
        """Without timelines: everybody's feed is pulled from the graph."""
        recent = await self._graph.recent(question.viewer_id, call, whole=False)
        marks.relay(recent.degraded)
        known = _by_id(recent)
        post_ids = merge([known], before=question.cursor.position, limit=size)
        return _Window(post_ids, size, known)

    async def _celebrity_posts(
        self, celebrities: Sequence[int], marks: Marks
    ) -> Sequence[Sequence[int]]:
        answers = await asyncio.gather(
            *(self._celebrities.newest(author_id) for author_id in celebrities),
            return_exceptions=True,
        )
        found: list[Sequence[int]] = []
        for answer in answers:
            if isinstance(answer, EdgeError):
                self._host.note_error("feed", answer)
                marks.mark("partial", answer.edge)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found.append(answer)
        return found

    async def _fetch(
        self, window: _Window, viewer_id: int, call: Call, marks: Marks
    ) -> dict[int, Post]:
        """Return the posts of a window that exist and may be seen; one call at most."""
        wanted = [post_id for post_id in window.post_ids if post_id not in window.known]
        posts = {
            post_id: window.known[post_id] for post_id in window.post_ids if post_id in window.known
        }
        if wanted:
            answer = await self._graph.posts(wanted, viewer_id, call)
            marks.relay(answer.degraded)
            posts.update(_by_id(answer))
            if not posts and answer.degraded:
                # Nothing is left of the page: the last one shown is better than an empty one.
                raise EdgeFailedError(GRAPH_EDGE, "no post of the page can be read now")
        return posts

    def _keep(
        self, viewer_id: int, posts: Iterable[Post], celebrities: Sequence[int], call: Call
    ) -> None:
        """Write a built timeline without letting the reader wait for it."""

        async def finish() -> None:
            try:
                await self._timelines.finish_building(
                    viewer_id,
                    [post.id for post in posts],
                    celebrities,
                    deadline=call.deadline,
                )
            except EdgeError as error:
                # The next read finds the timeline unbuilt and builds it again.
                self._host.note_error("feed", error)

        task = asyncio.create_task(finish())
        self._building.add(task)
        task.add_done_callback(self._building.discard)

    def _mark_lag(self, fanout: FanoutStatus | None, marks: Marks) -> None:
        if fanout is None:
            marks.mark("stale", "worker")
            return
        silent_s = self._host.clock.wall() - fanout.at
        if max(silent_s, fanout.lag_s) > LAG_LIMIT_S:
            marks.mark("stale", "worker", silent_s + fanout.lag_s)


def _candidate(post: Post) -> Candidate:
    return Candidate(
        post_id=post.id,
        author_id=post.author_id,
        created_at=post.created_at,
        likes=post.likes,
        replies=post.replies,
    )


def _by_id(answer: Posts) -> dict[int, Post]:
    return {post.id: post for post in answer.posts}
