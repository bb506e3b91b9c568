"""The home feed at the gateway: passed on from the feed service, or pulled where that is lost."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge import (
    EdgeError,
    EdgeFailedError,
    EdgeOpenError,
    EdgeTimeoutError,
    HttpEdge,
)
from target_app.feed import cursor as cursors
from target_app.gateway.pages import entity_tag, is_named_by
from target_app.serving import (
    Service,
    ServiceError,
    exchange_of,
    json_answer,
    mark_degraded,
    read_number,
    relay_degraded,
)

__all__ = ["HomeFeed"]

_EDGE = "gw-feed"
_MAX_LIMIT = 50


class _Recent(msgspec.Struct):
    posts: list[msgspec.Raw]


class _Named(msgspec.Struct):
    id: int


class HomeFeed:
    """Answers ``GET /v1/feed/home`` and ``GET /v1/feed/following``."""

    def __init__(self, feed: HttpEdge, graph: HttpEdge, service: Service) -> None:
        self._feed = feed
        self._graph = graph
        self._service = service

    async def page(self, request: Request, viewer_id: int, *, following: bool = False) -> Response:
        """Return the page that the feed service makes; by time, from the graph, if it is lost.

        With ``following`` only posts of the viewer and of those followed, the newest first.
        """
        exchange = exchange_of(request)
        query = request.url.query
        if following:
            # Of a parameter that is there twice the last one counts.
            query = f"{query}&mode=recency"
        try:
            answer = await self._feed.request(
                "GET",
                f"/internal/feed/{viewer_id}?{query}",
                headers=exchange.internal_headers(),
                deadline=exchange.deadline,
            )
        except (EdgeFailedError, EdgeTimeoutError, EdgeOpenError) as error:
            if not self._may_pull(error):
                raise
            self._service.note_error("feed", error)
            return await self._pulled(request, viewer_id)
        relay_degraded(request, answer.degraded)
        if answer.status != 200 or answer.degraded:
            # A page that lacks something must not be taken for unchanged.
            media_type = answer.headers.get("Content-Type", "application/json")
            return Response(answer.body, answer.status, media_type=media_type)
        tag = entity_tag(answer.body)
        if is_named_by(tag, request.headers.get("If-None-Match")):
            return Response(status_code=304, headers={"ETag": tag})
        return Response(answer.body, headers={"ETag": tag}, media_type="application/json")

    def _may_pull(self, error: EdgeError) -> bool:
        """Whether the feed service is lost, as opposed to an error that it reports on purpose."""
        if isinstance(error, EdgeFailedError) and error.is_of_dependency:
            return False
        return self._service.fallback_allowed(_EDGE)

    async def _pulled(self, request: Request, viewer_id: int) -> Response:
        exchange = exchange_of(request)
        query = request.query_params
        limit = read_number(query, "limit", 20, most=_MAX_LIMIT)
        since = read_number(query, "since", 0)
        try:
            cursor = cursors.decode(query["cursor"]) if query.get("cursor") else None
        except cursors.CursorError as error:
            raise ServiceError(400, "bad_request", f"cursor: {error}") from error
        before = (cursor.position if cursor is not None else None) or 0
        answer = await self._graph.request(
            "POST",
            "/internal/recent",
            json={"viewer_id": viewer_id, "limit": limit, "before": before, "hide_muted": True},
            headers=exchange.internal_headers(),
            deadline=exchange.deadline,
            idempotent=True,
        )
        mark_degraded(request, "feed", "recency", _EDGE)
        relay_degraded(request, answer.degraded)
        posts = answer.json(_Recent).posts
        newer = [each for each in posts if msgspec.json.decode(each, type=_Named).id > since]
        # The graph answers with one page and no cursor: the feed ends early while this lasts.
        body = {"items": newer, "next_cursor": None}
        return json_answer(request, body)
