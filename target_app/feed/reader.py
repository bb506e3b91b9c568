"""Reading one page of a home feed: what is pushed, what is pulled, and what to do without."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence

import msgspec

from target_app.edge import EdgeError, EdgeFailedError
from target_app.feed.cursor import MAX_REST, Cursor
from target_app.feed.graph import Call, Post, Posts
from target_app.feed.keys import LAG_LIMIT_S, FanoutStatus, Ties
from target_app.feed.sources import CelebritySource, Marks, PostSource, ReaderHost, TimelineStore
from target_app.feed.timelines import Snapshot
from target_app.feed.window import Page, Question, Window, by_id, merged, ranked

__all__ = [
    "CELEBRITY_PAGE",
    "EVERYBODY",
    "GRAPH_EDGE",
    "TIMELINE_EDGE",
    "FeedReader",
]

TIMELINE_EDGE = "feed-timeline"
GRAPH_EDGE = "feed-graph"

# How many of a celebrity's posts take part; beyond, they are found on the profile.
CELEBRITY_PAGE = 20

# Whose newest popular posts fill a short feed; nobody has this id.
EVERYBODY = 0

# Who becomes a celebrity is pulled by old followers after this time at the latest.
TIES_FRESH_S = 60.0


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
        self._writing: set[asyncio.Task[None]] = set()

    async def page(self, question: Question, call: Call, marks: Marks) -> Page:
        """Return the page; what is less than it should be is marked."""
        if question.cursor.rest or question.cursor.suggested:
            return await self._rest(question, call, marks)
        window = await self._window(question, call, marks)
        suggested = await self._suggested(question, window, marks)
        posts = await self._fetch(window, suggested[: question.limit], question, call, marks)
        own = {post_id: posts[post_id] for post_id in window.post_ids if post_id in posts}
        if question.mode == "recency":
            following = None if window.is_last else Cursor(window.post_ids[-1])
            return Page(list(own.values()), following)
        now = self._host.clock.wall()
        order = ranked(own.values(), window, question.viewer_id, now=now)
        items = [own[post_id] for post_id in order[: question.limit]]
        rest = tuple(order[question.limit :])
        room = question.limit - len(items)
        items += [posts[post_id] for post_id in suggested[:room] if post_id in posts]
        left = tuple(suggested[room:])
        if window.is_last and not rest and not left:
            return Page(items, None)
        position = window.post_ids[-1] if window.post_ids else None
        return Page(items, Cursor(position, rest, left))

    async def _rest(self, question: Question, call: Call, marks: Marks) -> Page:
        """Show what an earlier page has ranked or suggested; nothing is ranked again."""
        cursor, limit = question.cursor, question.limit
        first = cursor.rest[:limit]
        room = limit - len(first)
        suggested = cursor.suggested[:room]
        posts = await self._fetch(Window(first, is_last=False), suggested, question, call, marks)
        items = [posts[post_id] for post_id in (*first, *suggested) if post_id in posts]
        rest, left = cursor.rest[limit:], cursor.suggested[room:]
        if cursor.suggested and not rest and not left:
            return Page(items, None)
        return Page(items, Cursor(cursor.position, rest, left))

    async def _window(self, question: Question, call: Call, marks: Marks) -> Window:
        viewer_id, before = question.viewer_id, question.cursor.position
        try:
            snapshot = await self._timelines.read(
                viewer_id, before=before, count=question.size, deadline=call.deadline
            )
            token = 0
            if snapshot.ties is None:
                token = await self._timelines.begin_building(viewer_id, deadline=call.deadline)
        except EdgeError as error:
            if not self._host.fallback_allowed(TIMELINE_EDGE):
                raise
            self._host.note_error("feed", error)
            marks.mark("pull", TIMELINE_EDGE)
            # Without timelines everybody's feed is pulled from the graph.
            return await self._older(question, Window((), is_last=False), call, marks)
        self._mark_lag(snapshot.fanout, marks)
        if snapshot.ties is None:
            window = await self._built(question, snapshot, token, call, marks)
        else:
            window = await self._pushed(question, snapshot, snapshot.ties, call, marks)
        if window.is_last or len(window.post_ids) == question.size:
            return window
        return await self._older(question, window, call, marks)

    async def _pushed(
        self, question: Question, snapshot: Snapshot, ties: Ties, call: Call, marks: Marks
    ) -> Window:
        """The ordinary way: the viewer's timeline with the celebrities' posts merged in."""
        if self._host.clock.wall() - ties.at > TIES_FRESH_S:
            self._in_background(self._renew(question.viewer_id, ties, call))
        pulled = await self._celebrity_posts(ties.celebrities, snapshot.announced, marks)
        post_ids = merged([snapshot.post_ids, *pulled], question)
        is_last = snapshot.is_whole and len(post_ids) < question.size
        return Window(post_ids, is_last, {}, snapshot.likes, frozenset(ties.friends))

    async def _built(
        self, question: Question, snapshot: Snapshot, token: int, call: Call, marks: Marks
    ) -> Window:
        """The first read of a viewer: answered from the graph, and kept for the next one."""
        # A post that is missing here, and was pushed before the timeline existed, would be
        # missing from it for good.
        history = await self._graph.history(question.viewer_id, call)
        marks.relay(history.degraded)
        if not history.degraded:
            # An incomplete history must not be taken for the whole one later.
            self._in_background(self._keep(question.viewer_id, token, history, call))
        known = by_id(history)
        post_ids = merged([known, snapshot.post_ids], question)
        is_last = not history.has_more and len(post_ids) < question.size
        return Window(post_ids, is_last, known, snapshot.likes, frozenset(history.friends))

    async def _older(self, question: Question, window: Window, call: Call, marks: Marks) -> Window:
        """Add what the graph has from before the end of the window."""
        before = window.post_ids[-1] if window.post_ids else question.cursor.position
        older = await self._graph.recent(question.viewer_id, call, before=before)
        marks.relay(older.degraded)
        known = {**window.known, **by_id(older)}
        post_ids = merged([window.post_ids, by_id(older)], question)
        is_last = not post_ids or (not older.has_more and len(post_ids) < question.size)
        return Window(post_ids, is_last, known, window.likes, window.friends)

    async def _suggested(self, question: Question, window: Window, marks: Marks) -> Sequence[int]:
        """Return popular posts if the whole feed of the viewer fits into one ranked window."""
        is_first = question.cursor.position is None and not question.since
        if question.mode != "ranked" or not is_first or not window.is_last:
            return ()
        if not question.suggests:
            marks.mark("partial", "knob")
            return ()
        try:
            popular = await self._celebrities.newest(EVERYBODY)
        except EdgeError as error:
            self._host.note_error("feed", error)
            marks.mark("partial", error.edge)
            return ()
        shown = set(window.post_ids)
        return [post_id for post_id in popular if post_id not in shown][:MAX_REST]

    async def _celebrity_posts(
        self, celebrities: Sequence[int], announced: Mapping[int, int], marks: Marks
    ) -> Sequence[Sequence[int]]:
        answers = await asyncio.gather(
            *(
                self._celebrities.newest(author_id, announced.get(author_id, 0))
                for author_id in celebrities
            ),
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
        self,
        window: Window,
        suggested: Sequence[int],
        question: Question,
        call: Call,
        marks: Marks,
    ) -> dict[int, Post]:
        """Return those posts that exist and may be seen, with why; one call at most."""
        posts = {each: window.known[each] for each in window.post_ids if each in window.known}
        wanted = [each for each in (*window.post_ids, *suggested) if each not in posts]
        if wanted:
            answer = await self._graph.posts(wanted, question.viewer_id, call)
            marks.relay(answer.degraded)
            posts.update(by_id(answer))
            if not posts and answer.degraded:
                # Nothing is left of the page: the last one shown is better than an empty one.
                raise EdgeFailedError(GRAPH_EDGE, "no post of the page can be read now")
        for post_id, post in posts.items():
            if post.author_id == question.viewer_id:
                posts[post_id] = msgspec.structs.replace(post, reason="own")
            elif post_id in suggested:
                posts[post_id] = msgspec.structs.replace(post, reason="popular")
        return posts

    async def _keep(self, viewer_id: int, token: int, history: Posts, call: Call) -> None:
        post_ids = [post.id for post in history.posts]
        at = self._host.clock.wall()
        celebrities, friends = list(history.celebrities), list(history.friends)
        ties = Ties(at, celebrities, friends, is_whole=not history.has_more)
        await self._timelines.finish_building(
            viewer_id, token, post_ids, ties, deadline=call.deadline
        )

    async def _renew(self, viewer_id: int, ties: Ties, call: Call) -> None:
        at = self._host.clock.wall()
        celebrities = list(await self._graph.celebrities(viewer_id, call))
        renewed = Ties(at, celebrities, ties.friends, ties.is_whole)
        await self._timelines.renew_ties(viewer_id, renewed, deadline=call.deadline)

    def _in_background(self, work: Awaitable[None]) -> None:
        """Write a timeline without letting the reader wait for it."""

        async def finish() -> None:
            try:
                await work
            except EdgeError as error:
                # The next read finds it undone and does it again.
                self._host.note_error("feed", error)

        task = asyncio.create_task(finish())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    def _mark_lag(self, fanout: FanoutStatus | None, marks: Marks) -> None:
        if fanout is None:
            marks.mark("stale", "worker")
            return
        silent_s = self._host.clock.wall() - fanout.at
        if max(silent_s, fanout.lag_s) > LAG_LIMIT_S:
            marks.mark("stale", "worker", silent_s + fanout.lag_s)
