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
from target_app.gateway.pages import entity_tag, is_named_by
from target_app.serving import (
    Service,
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


class HomeFeed:
    """Answers ``GET /v1/feed/home``."""

    def __init__(self, feed: HttpEdge, graph: HttpEdge, service: Service) -> None:
        self._feed = feed
        self._graph = graph
        self._service = service

    async def page(self, request: Request, viewer_id: int) -> Response:
        """Return the page that the feed service makes; by time, from the graph, if it is lost."""
        exchange = exchange_of(request)
        query = request.url.query
        path = f"/internal/feed/{viewer_id}"
        try:
            answer = await self._feed.request(
                "GET",
                f"{path}?{query}" if query else path,
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
            return Response(answer.body, answer.status, media_type="application/json")
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
        limit = read_number(request.query_params, "limit", 20, most=_MAX_LIMIT)
        answer = await self._graph.request(
            "POST",
            "/internal/recent",
            json={"viewer_id": viewer_id, "limit": limit},
            headers=exchange.internal_headers(),
            deadline=exchange.deadline,
            idempotent=True,
        )
        mark_degraded(request, "feed", "recency", _EDGE)
        relay_degraded(request, answer.degraded)
        # The graph answers with one page and no cursor: the feed ends early while this lasts.
        body = {"items": answer.json(_Recent).posts, "next_cursor": None}
        return json_answer(request, body)
