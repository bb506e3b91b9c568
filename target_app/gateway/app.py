"""The gateway process: every public route, one step in front of the services."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge import HttpAnswer
from target_app.gateway.accounts import AccountRoutes
from target_app.gateway.context import GatewayContext
from target_app.gateway.document import document_routes
from target_app.gateway.graphql import GraphQl
from target_app.gateway.home import HomeFeed
from target_app.gateway.limits import Limits
from target_app.gateway.live import LiveUpdates
from target_app.gateway.media import Media
from target_app.gateway.notifications import NotificationRoutes
from target_app.gateway.people import PeopleRoutes
from target_app.gateway.posts import PostRoutes
from target_app.gateway.trending import Trending
from target_app.serving import Service, ServiceRoute, run_app
from target_app.serving.shadow import SHADOW_PATH, show_shadow_target
from target_app.sessions import KeyKeeper, Sessions
from target_app.settings import Settings

__all__ = ["GatewayApp", "main"]

# Below the entry's timeouts, so that a late answer comes from here, marked or with Retry-After.
_FEED_DEADLINE_S = 1.2
_TRENDING_DEADLINE_S = 0.5
_DEADLINE_S = 1.0


class GatewayApp:
    """Puts the parts of the gateway together; each brings its own routes."""

    def __init__(self, service: Service) -> None:
        identity = service.http_edge("gw-identity")
        self._keys = KeyKeeper(
            identity, service.clock, lambda error: service.note_error("sessions", error)
        )
        self._acked = Counter(
            "app_writes_acked_total",
            "Writes that were acknowledged to a client.",
            ["kind", "ack"],
            registry=service.registry,
        )
        self._context = context = GatewayContext(
            service=service,
            sessions=Sessions(self._keys, service.clock),
            identity=identity,
            graph=service.http_edge("gw-graph"),
            feed=service.http_edge("gw-feed"),
            limits=Limits(service),
            count_write=self._count_write,
        )
        self._home = HomeFeed(context.feed, context.graph, service)
        self._trending = Trending(context.feed, service)
        self._live = LiveUpdates.over_nats(context)
        self._posts = PostRoutes(context)
        self._people = PeopleRoutes(context)
        self._accounts = AccountRoutes(context)
        self._media = Media(context)
        self._notifications = NotificationRoutes(context)
        self._graphql = GraphQl(context)
        self._keep_fresh: asyncio.Task[None] | None = None

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the public routes, the most frequent first: they are tried in this order."""
        route = ServiceRoute
        return (
            route("GET", "/v1/feed/home", self.home_feed, 0, "feed", _FEED_DEADLINE_S),
            route("GET", "/v1/feed/following", self.following_feed, 1, "feed", _FEED_DEADLINE_S),
            *self._posts.routes(),
            *self._people.routes(),
            *self._notifications.routes(),
            route("GET", "/v1/trending", self.trending, 3, "trending", _TRENDING_DEADLINE_S),
            *self._accounts.routes(),
            *self._live.routes(),
            *self._media.routes(),
            *self._graphql.routes(),
        )

    def unpublished(self) -> Sequence[ServiceRoute]:
        """Return the routes that the public interface does not describe."""
        shadow = ServiceRoute("GET", SHADOW_PATH, show_shadow_target, 0, "shadow", _DEADLINE_S)
        return (*document_routes(), shadow)

    def sockets(self) -> Sequence[ServiceRoute]:
        """Return the routes of sockets."""
        return self._live.sockets()

    def is_ready(self) -> bool:
        """Whether tokens can be verified; nothing else is needed of others to serve tier 0."""
        return self._keys.ring is not None

    async def start(self) -> None:
        """Begin to keep the keys fresh, and to listen to the stream."""
        self._keep_fresh = asyncio.create_task(self._keys.keep_fresh())
        await self._live.start()

    async def stop(self) -> None:
        """End what :meth:`start` began."""
        await self._live.stop()
        if self._keep_fresh is not None:
            self._keep_fresh.cancel()
            await asyncio.gather(self._keep_fresh, return_exceptions=True)

    async def home_feed(self, request: Request) -> Response:
        """Return one page of the viewer's home feed."""
        viewer = await self._context.sessions.token_of(request)
        return await self._home.page(request, viewer.user_id)

    async def following_feed(self, request: Request) -> Response:
        """Return one page of the posts of those whom the viewer follows, the newest first."""
        viewer = await self._context.sessions.token_of(request)
        return await self._home.page(request, viewer.user_id, following=True)

    async def trending(self, request: Request) -> Response:
        """Return the trending tags."""
        await self._context.sessions.token_of(request)
        return await self._trending.show(request)

    def _count_write(self, kind: str, answer: HttpAnswer) -> None:
        if answer.status < 300:
            self._acked.labels(kind, "durable").inc()


def main(settings: Settings) -> int:
    """Serve until SIGTERM and return the exit code."""
    service = Service(settings, trusts_callers=False)
    gateway = GatewayApp(service)
    app = service.application(
        (*gateway.routes(), *gateway.unpublished()),
        sockets=gateway.sockets(),
        on_start=gateway.start,
        on_stop=gateway.stop,
        ready=gateway.is_ready,
    )
    return run_app(app, settings, service.log, has_sockets=True)
