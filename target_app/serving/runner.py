"""Serves one ASGI application until SIGTERM."""

from __future__ import annotations

import logging
import time

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from target_app.serving.endpoint import RECEIVED_KEY
from target_app.serving.log import JsonLog, LoggingBridge
from target_app.settings import Settings

__all__ = ["run_app"]

# Longer than any client keeps an idle connection, so that it is never the server who closes one
# just as the next request arrives.
_KEEP_ALIVE_S = 75
_GRACE_S = 1
# What a client may say over a socket at once.
_MOST_MESSAGE = 16 * 1024


class _StampedProtocol(HttpToolsProtocol):
    """Notes when a request's first byte was read, to see how long it then waits."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # The ASGI types allow no keys of our own in a scope; ASGI itself does.
        self.scope[RECEIVED_KEY] = time.monotonic()  # type: ignore[literal-required]


def run_app(app: ASGIApp, settings: Settings, log: JsonLog, *, has_sockets: bool = False) -> int:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT, then finish within two seconds."""
    logging.getLogger().handlers = [LoggingBridge(log)]
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=settings.port,
        loop="uvloop",
        http=_StampedProtocol,
        ws="websockets-sansio" if has_sockets else "none",
        ws_max_size=_MOST_MESSAGE,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        backlog=1024,
    )
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 1
