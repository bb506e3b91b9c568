"""What the viewer is told of others' doings."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from target_app.gateway.context import GatewayContext
from target_app.serving import ServiceRoute, read_number
from target_app.sessions.account import relay

__all__ = ["NotificationRoutes"]

_DEADLINE_S = 1.0
_MOST = 50


class NotificationRoutes:
    """The handler of notifications."""

    def __init__(self, context: GatewayContext) -> None:
        self._context = context

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the route."""
        path = "/v1/notifications"
        return (ServiceRoute("GET", path, self.show, 2, "notifications", _DEADLINE_S),)

    async def show(self, request: Request) -> Response:
        """Return the newest notifications, those before ``before`` if it is given."""
        viewer = await self._context.sessions.token_of(request)
        limit = read_number(request.query_params, "limit", 20, most=_MOST)
        before = read_number(request.query_params, "before", 0)
        path = f"/internal/users/{viewer.user_id}/notifications?limit={limit}&before={before}"
        return relay(request, await self._context.ask_graph(request, "GET", path))
