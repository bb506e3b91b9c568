"""What a user is told of others' doings, as the worker has written it down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge.errors import EdgeError
from target_app.edge.postgres import PostgresEdge
from target_app.graph.cache import Cache, CacheContext, CachePolicy
from target_app.graph.reads import EDGE, GraphReader
from target_app.serving import (
    ServiceRoute,
    exchange_of,
    json_answer,
    mark_degraded,
    read_number,
)

__all__ = ["Notifications"]

_PAGE = 50
_NEWEST = 2**63 - 1
# Never fresh: the page is asked for anew, and what was shown last is for when it cannot be.
_POLICY = CachePolicy("notifications", fresh_s=-1.0, keep_s=120.0, capacity=20_000)
_LIST = """
SELECT n.notification_id, n.kind, n.actor_id, a.handle, n.post_id,
       extract(epoch FROM n.created_at)::float8 AS at
FROM notifications n JOIN accounts a ON a.user_id = n.actor_id AND a.deleted_at IS NULL
WHERE n.user_id = $1 AND n.notification_id < $2 ORDER BY n.notification_id DESC LIMIT $3
"""


class _Notification(msgspec.Struct, frozen=True):
    id: int
    kind: str
    actor_id: int
    handle: str
    post_id: int | None
    created_at: float


class _Page(msgspec.Struct, frozen=True):
    notifications: list[_Notification]


class Notifications:
    """Answers ``GET /internal/users/{user_id}/notifications``, the newest first."""

    def __init__(self, postgres: PostgresEdge, context: CacheContext, reader: GraphReader) -> None:
        self._postgres, self._context, self._reader = postgres, context, reader
        self._last = Cache(context, _POLICY, _Page)

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the route."""
        path = "/internal/users/{user_id}/notifications"
        return (ServiceRoute("GET", path, self.show, 2, "notifications"),)

    async def show(self, request: Request) -> Response:
        """Return a page without those of people whom the user blocks, or who block the user."""
        user_id = read_number(request.path_params, "user_id")
        before = read_number(request.query_params, "before", 0)
        limit = read_number(request.query_params, "limit", 20, most=_PAGE)
        deadline = exchange_of(request).deadline
        page, ties = await asyncio.gather(
            self._page(request, user_id, before), self._reader.ties(user_id, deadline)
        )
        hidden = ties.value.blocked | ties.value.blocked_by
        shown = [each for each in page.notifications if each.actor_id not in hidden]
        return json_answer(request, {"notifications": shown[:limit]})

    async def _page(self, request: Request, user_id: int, before: int) -> _Page:
        deadline, key = exchange_of(request).deadline, str(user_id)
        read_at_s = self._context.clock.wall()
        try:
            rows = await self._postgres.fetch(
                _LIST, user_id, before or _NEWEST, _PAGE, deadline=deadline
            )
        except EdgeError as error:
            known = None if before else (await self._last.read([key], deadline)).stale.get(key)
            if known is None or not self._context.errors.fallback_allowed(EDGE):
                raise
            self._context.errors.note_error("notifications", error)
            age_s = read_at_s - known.read_at_s
            mark_degraded(request, "notifications", "cached", EDGE, age_s)
            return known.value
        page = _Page(
            [
                _Notification(
                    id=row["notification_id"],
                    kind=row["kind"],
                    actor_id=row["actor_id"],
                    handle=row["handle"],
                    post_id=row["post_id"],
                    created_at=row["at"],
                )
                for row in rows
            ]
        )
        if not before:
            self._last.store({key: page}, read_at_s=read_at_s)
        return page
