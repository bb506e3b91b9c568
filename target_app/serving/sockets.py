"""Sockets: opened like any other request, with admission, deadline and errors, then served."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from target_app.serving.endpoint import Endpoint, EndpointHost, ServiceRoute

__all__ = ["SocketEndpoint", "upgrade"]

_SERVE_KEY = "target_app.serve_socket"
_PASSED_ON = (b"degraded",)


def upgrade(
    request: Request, subprotocol: str, serve: Callable[[WebSocket], Awaitable[None]]
) -> Response:
    """Return what a socket route's handler answers to have the socket accepted and served."""
    request.scope[_SERVE_KEY] = (subprotocol, serve)
    return Response(status_code=101)


class SocketEndpoint:
    """The ASGI application of one socket route; its handler either refuses or upgrades."""

    def __init__(self, route: ServiceRoute, host: EndpointHost) -> None:
        self._opening = Endpoint(route, host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request for a socket, and serve the socket until it ends."""
        answered: list[Message] = []

        async def no_body() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def keep(message: Message) -> None:
            answered.append(message)

        opening = {**scope, "type": "http", "method": "GET"}
        await self._opening(opening, no_body, keep)
        if _SERVE_KEY not in opening:
            for message in answered:
                await send({**message, "type": f"websocket.{message['type']}"})
            return
        subprotocol, serve = opening[_SERVE_KEY]
        websocket = WebSocket(scope, receive, send)
        headers = [pair for pair in answered[0]["headers"] if pair[0].lower() in _PASSED_ON]
        await websocket.accept(subprotocol, headers)
        await serve(websocket)
