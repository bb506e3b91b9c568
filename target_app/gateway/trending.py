"""The trending list at the gateway: passed on, or the last good one where the feed is lost."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge import EdgeFailedError, EdgeOpenError, EdgeTimeoutError, HttpEdge
from target_app.serving import Service, exchange_of, json_answer, mark_degraded, relay_degraded

__all__ = ["Trending"]

_EDGE = "gw-feed"
_KEEP_S = 600.0


class _List(msgspec.Struct):
    as_of: float | None
    tags: msgspec.Raw


class Trending:
    """Answers ``GET /v1/trending``."""

    def __init__(self, feed: HttpEdge, service: Service) -> None:
        self._feed = feed
        self._service = service
        self._last: _List | None = None

    async def show(self, request: Request) -> Response:
        """Return the list, or the last one up to ten minutes old, marked."""
        exchange = exchange_of(request)
        try:
            answer = await self._feed.request(
                "GET",
                "/internal/trending",
                headers=exchange.internal_headers(),
                deadline=exchange.deadline,
            )
        except (EdgeFailedError, EdgeTimeoutError, EdgeOpenError) as error:
            last = self._last
            reported = isinstance(error, EdgeFailedError) and error.is_of_dependency
            if reported or last is None or not self._service.fallback_allowed(_EDGE):
                raise
            age_s = self._service.clock.wall() - (last.as_of or 0.0)
            if age_s > _KEEP_S:
                raise
            self._service.note_error("trending", error)
            mark_degraded(request, "trending", "stale", _EDGE, age_s)
            return json_answer(request, {"as_of": last.as_of, "tags": last.tags})
        relay_degraded(request, answer.degraded)
        if answer.status == 200 and not answer.degraded:
            self._last = answer.json(_List)
        return Response(answer.body, answer.status, media_type="application/json")
