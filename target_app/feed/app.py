"""The feed process: home feeds and the trending list."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge import Deadline, EdgeError
from target_app.feed import cursor as cursors
from target_app.feed.celebrities import CelebrityPosts
from target_app.feed.cursor import MAX_REST, Cursor, CursorError
from target_app.feed.graph import Call, Graph, Post
from target_app.feed.keys import LAG_LIMIT_S, TrendingList
from target_app.feed.reader import (
    CELEBRITY_PAGE,
    EVERYBODY,
    GRAPH_EDGE,
    TIMELINE_EDGE,
    FeedReader,
)
from target_app.feed.recall import Recall
from target_app.feed.timelines import Timelines
from target_app.feed.window import Page, Question
from target_app.serving import (
    Service,
    ServiceError,
    ServiceRoute,
    exchange_of,
    json_answer,
    mark_degraded,
    read_number,
    relay_degraded,
    run_app,
)
from target_app.settings import Settings

__all__ = ["FeedApp", "main"]

# A feed has to be there at once or not at all: the entry gives it two seconds, the gateway 800 ms.
_FEED_DEADLINE_S = 0.75
_TRENDING_DEADLINE_S = 0.3

# The last page of a viewer, for the time while the graph is lost. A page takes about 6 kB, so
# this many take some 12 MB.
_PAGE_KEEP_S = 60.0
_PAGE_CAPACITY = 2_000

# Trends change slowly: an older list is better than none, and marked.
_TRENDING_KEEP_S = 600.0

# Loading a celebrity's list serves many readers: it does not end with the one who began it.
_CELEBRITY_DEADLINE_S = 0.5

_MAX_LIMIT = 50
_DEFAULT_LIMIT = 20
# What a page holds while the knobs save work.
_SHORT_LIMIT = 10


@dataclass(frozen=True, slots=True)
class _LastPage:
    """The first page that a viewer saw last, its posts as JSON."""

    mode: str
    limit: int
    items: bytes
    next_cursor: str | None


_POSTS = msgspec.json.Decoder(list[Post])


@dataclass(frozen=True, slots=True)
class _RequestMarks:
    """Marks the answer to one request."""

    request: Request

    def mark(self, mode: str, cause: str, age_s: float | None = None) -> None:
        mark_degraded(self.request, "feed", mode, cause, age_s)

    def relay(self, items: Sequence[str]) -> None:
        relay_degraded(self.request, items)


class FeedApp:
    """The handlers of the feed process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._timelines = Timelines(service.redis_edge(TIMELINE_EDGE), random.Random())
        self._graph = Graph(
            service.http_edge(GRAPH_EDGE), one_by_one=lambda: service.has_defect("n_plus_one")
        )
        self._reader = FeedReader(
            timelines=self._timelines,
            graph=self._graph,
            celebrities=CelebrityPosts(self._load_celebrity, service.clock),
            host=service,
        )
        self._pages: Recall[int, _LastPage] = Recall(capacity=_PAGE_CAPACITY, keep_s=_PAGE_KEEP_S)
        self._trending: Recall[str, TrendingList] = Recall(capacity=1, keep_s=_TRENDING_KEEP_S)

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes of the process."""
        return (
            ServiceRoute(
                "GET",
                "/internal/feed/{viewer_id}",
                self.show_feed,
                0,
                "feed",
                deadline_s=_FEED_DEADLINE_S,
            ),
            ServiceRoute("POST", "/internal/feed/{viewer_id}/forget", self.forget_page, 0, "feed"),
            ServiceRoute(
                "GET",
                "/internal/trending",
                self.show_trending,
                3,
                "trending",
                deadline_s=_TRENDING_DEADLINE_S,
            ),
        )

    async def show_feed(self, request: Request) -> Response:
        """Return one page of a viewer's home feed."""
        question = self._read_question(request)
        exchange = exchange_of(request)
        call = Call(exchange.deadline, exchange.internal_headers())
        try:
            page = await self._reader.page(question, call, _RequestMarks(request))
        except EdgeError as error:
            return await self._answer_from_memory(request, question, error)
        items = msgspec.json.encode(page.items)
        next_cursor = None if page.next is None else cursors.encode(page.next)
        self._remember(question, page, items, next_cursor)
        return _page_answer(request, items, next_cursor)

    async def forget_page(self, request: Request) -> Response:
        """Drop a viewer's last page: it may show somebody who has just been blocked."""
        self._pages.forget(read_number(request.path_params, "viewer_id"))
        return json_answer(request, {})

    async def show_trending(self, request: Request) -> Response:
        """Return the trending tags; a list that lags is marked, and so is a list from memory."""
        now = self._service.clock.wall()
        monotonic = self._service.clock.monotonic()
        deadline = exchange_of(request).deadline
        try:
            found = await self._timelines.trending(deadline=deadline)
        except EdgeError as error:
            if not self._service.fallback_allowed(TIMELINE_EDGE):
                raise
            self._service.note_error("trending", error)
            recalled = self._trending.recall("list", now=monotonic)
            if recalled is None:
                mark_degraded(request, "trending", "empty", TIMELINE_EDGE)
                return json_answer(request, {"as_of": None, "tags": []})
            age_s = now - recalled.value.as_of
            mark_degraded(request, "trending", "stale", TIMELINE_EDGE, age_s)
            return json_answer(request, _trending_body(recalled.value))
        if found is None:
            mark_degraded(request, "trending", "empty", "worker")
            return json_answer(request, {"as_of": None, "tags": []})
        self._trending.remember("list", found, now=monotonic)
        if now - found.as_of > LAG_LIMIT_S:
            mark_degraded(request, "trending", "stale", "worker", now - found.as_of)
        return json_answer(request, _trending_body(found))

    async def _answer_from_memory(
        self, request: Request, question: Question, error: EdgeError
    ) -> Response:
        """Return the viewer's last page, marked; raise the error if there is none."""
        if error.edge != GRAPH_EDGE or not self._service.fallback_allowed(GRAPH_EDGE):
            raise error
        recalled = None
        if _is_first(question):
            recalled = self._pages.recall(question.viewer_id, now=self._service.clock.monotonic())
        if (
            recalled is None
            or recalled.value.mode != question.mode
            or recalled.value.limit != question.limit
        ):
            raise error
        self._service.note_error("feed", error)
        # What was deleted since must not come back; without knowing it there is no page. What the
        # viewer no longer wants to see, or must not, has made the page be forgotten.
        gone = await self._timelines.gone_posts(deadline=exchange_of(request).deadline)
        kept = [post for post in _POSTS.decode(recalled.value.items) if post.id not in gone]
        mark_degraded(request, "feed", "cached", GRAPH_EDGE, recalled.age_s)
        return _page_answer(request, msgspec.json.encode(kept), recalled.value.next_cursor)

    def _remember(
        self, question: Question, page: Page, items: bytes, next_cursor: str | None
    ) -> None:
        if not _is_first(question) or not page.items:
            return
        last = _LastPage(question.mode, question.limit, items, next_cursor)
        self._pages.remember(question.viewer_id, last, now=self._service.clock.monotonic())

    def _read_question(self, request: Request) -> Question:
        query = request.query_params
        viewer_id = read_number(request.path_params, "viewer_id")
        mode = query.get("mode") or self._service.flags.text("feed.ranker", user_id=viewer_id)
        if mode not in ("ranked", "recency"):
            detail = f"mode is {mode[:80]!r} (accepted: ranked, recency)"
            raise ServiceError(400, "bad_request", detail)
        limit = read_number(query, "limit", _DEFAULT_LIMIT, most=_MAX_LIMIT)
        if limit == 0:
            raise ServiceError(400, "bad_request", f"limit is 0 (accepted: 1 to {_MAX_LIMIT})")
        since = read_number(query, "since", 0, most=2**53)
        text = query.get("cursor")
        try:
            cursor = cursors.decode(text) if text else Cursor(position=None)
        except CursorError as error:
            raise ServiceError(400, "bad_request", f"cursor: {error}") from error
        if since:
            # Whoever asks what is new wants it in order.
            mode = "recency"
        knobs = self._service.knobs
        if knobs.is_off("long-pages"):
            limit = min(limit, _SHORT_LIMIT)
        if knobs.is_off("ranking") and mode == "ranked" and not cursor.rest:
            mode = "recency"
            mark_degraded(request, "feed", "recency", "knob")
        return Question(
            viewer_id=viewer_id,
            mode=cast("Literal['ranked', 'recency']", mode),
            limit=limit,
            cursor=cursor,
            since=since,
            suggests=not knobs.is_off("recommendations"),
        )

    async def _load_celebrity(self, author_id: int) -> Sequence[int]:
        deadline = Deadline.after(_CELEBRITY_DEADLINE_S, self._service.clock)
        # Feeds of everybody wait for this list, tier 0 among them.
        call = Call(deadline, {"X-Tier": "T0"})
        if author_id == EVERYBODY:
            return await self._graph.popular(limit=MAX_REST, call=call)
        return await self._graph.post_ids_of(author_id, limit=CELEBRITY_PAGE, call=call)


def main(settings: Settings) -> int:
    """Serve until SIGTERM and return the exit code."""
    service = Service(settings, trusts_callers=True)
    feed = FeedApp(service)
    return run_app(service.application(feed.routes()), settings, service.log)


def _is_first(question: Question) -> bool:
    return question.cursor == Cursor(None) and not question.since


def _page_answer(request: Request, items: bytes, next_cursor: str | None) -> Response:
    return json_answer(request, {"items": msgspec.Raw(items), "next_cursor": next_cursor})


def _trending_body(found: TrendingList) -> dict[str, object]:
    return {"as_of": found.as_of, "tags": found.tags}
