"""The photos process: a second app whose people and permissions are those of threads."""

from __future__ import annotations

import asyncio

from target_app.photos.access import Access
from target_app.photos.people import People
from target_app.photos.pictures import Pictures
from target_app.serving import Service, run_app
from target_app.sessions import KeyKeeper, Sessions
from target_app.settings import Settings

__all__ = ["main"]

# The bit of this app in a token.
_PHOTOS = 1


def main(settings: Settings) -> int:
    """Serve until SIGTERM and return the exit code."""
    service = Service(settings, trusts_callers=False)
    identity = service.http_edge("photos-identity")
    keys = KeyKeeper(identity, service.clock, lambda error: service.note_error("sessions", error))
    sessions = Sessions(keys, service.clock, app=_PHOTOS, edge="photos-identity")
    feed = service.http_edge("photos-feed")
    access = Access(service, identity, service.http_edge("photos-graph"))
    routes = (
        *Pictures(access, sessions).routes(),
        *People(access, sessions, identity, feed, service.note_error).routes(),
    )
    refreshing: list[asyncio.Task[None]] = []

    async def start() -> None:
        refreshing.append(asyncio.create_task(keys.keep_fresh()))

    async def stop() -> None:
        refreshing[0].cancel()
        await asyncio.gather(*refreshing, return_exceptions=True)

    app = service.application(
        routes, on_start=start, on_stop=stop, ready=lambda: keys.ring is not None
    )
    return run_app(app, settings, service.log)
