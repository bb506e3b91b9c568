"""The gateway process: every public route, one step in front of the services."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

import msgspec
from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge import EdgeError, HttpAnswer, HttpEdge
from target_app.gateway.home import HomeFeed
from target_app.gateway.keys import KeyKeeper
from target_app.gateway.sessions import Sessions
from target_app.gateway.trending import Trending
from target_app.serving import (
    Service,
    ServiceError,
    ServiceRoute,
    exchange_of,
    json_answer,
    read_json,
    read_number,
    relay_degraded,
    run_app,
)
from target_app.settings import Settings

__all__ = ["GatewayApp", "main"]

# Below the entry's timeouts, so that a late answer comes from here, marked or with Retry-After.
_LOGIN_DEADLINE_S = 1.5
_FEED_DEADLINE_S = 1.2
_DEADLINE_S = 1.0
_TRENDING_DEADLINE_S = 0.5

_MAX_KEY = 128
_MAX_LIMIT = 50


class _NewPost(msgspec.Struct):
    text: str
    reply_to: int | None = None


class _Found(msgspec.Struct):
    posts: list[msgspec.Raw]


class GatewayApp:
    """The handlers of the gateway process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._identity: HttpEdge = service.http_edge("gw-identity")
        self._graph: HttpEdge = service.http_edge("gw-graph")
        self._feed: HttpEdge = service.http_edge("gw-feed")
        self._keys = KeyKeeper(
            self._identity, service.clock, lambda error: service.note_error("sessions", error)
        )
        self._sessions = Sessions(self._keys, service.clock)
        self._home = HomeFeed(self._feed, self._graph, service)
        self._trending = Trending(self._feed, service)
        self._keep_fresh: asyncio.Task[None] | None = None
        self._acked = Counter(
            "app_writes_acked_total",
            "Writes that were acknowledged to a client.",
            ["kind", "ack"],
            registry=service.registry,
        )
        self._replays = Counter(
            "app_idempotent_replays_total",
            "Posts whose key had been used before.",
            registry=service.registry,
        )

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the public routes, the most frequent first: they are tried in this order."""
        route = ServiceRoute
        posts, users = "/v1/posts", "/v1/users"
        return (
            route("GET", "/v1/feed/home", self.home_feed, 0, "feed", _FEED_DEADLINE_S),
            route("GET", posts + "/{post_id}", self.show_post, 1, "thread", _DEADLINE_S),
            route("GET", posts + "/{post_id}/replies", self.replies, 1, "thread", _DEADLINE_S),
            route("GET", users + "/{handle}", self.profile, 1, "profile", _DEADLINE_S),
            route("GET", users + "/{user_id}/posts", self.user_posts, 1, "profile", _DEADLINE_S),
            route("POST", posts + "/{post_id}/like", self.like, 2, "like", _DEADLINE_S),
            route("POST", posts, self.create_post, 1, "post", _DEADLINE_S),
            route("GET", "/v1/trending", self.trending, 3, "trending", _TRENDING_DEADLINE_S),
            route("POST", "/v1/sessions", self.create_session, 0, "login", _LOGIN_DEADLINE_S),
            route("POST", "/v1/accounts", self.create_account, 1, "sign-up", _LOGIN_DEADLINE_S),
            route("GET", "/v1/me", self.show_me, 0, "session", _DEADLINE_S),
            route("PUT", users + "/{user_id}/follow", self.follow, 1, "follow", _DEADLINE_S),
            route("PUT", users + "/{user_id}/block", self.block, 0, "block", _DEADLINE_S),
            route("DELETE", posts + "/{post_id}/like", self.unlike, 2, "like", _DEADLINE_S),
            route("DELETE", users + "/{user_id}/follow", self.unfollow, 1, "follow", _DEADLINE_S),
            route("DELETE", users + "/{user_id}/block", self.unblock, 0, "block", _DEADLINE_S),
        )

    def is_ready(self) -> bool:
        """Whether tokens can be verified; nothing else is needed of others to serve tier 0."""
        return self._keys.ring is not None

    async def start(self) -> None:
        """Begin to keep the keys fresh."""
        self._keep_fresh = asyncio.create_task(self._keys.keep_fresh())

    async def stop(self) -> None:
        """End what :meth:`start` began."""
        if self._keep_fresh is not None:
            self._keep_fresh.cancel()
            await asyncio.gather(self._keep_fresh, return_exceptions=True)

    async def create_account(self, request: Request) -> Response:
        """Sign up."""
        answer = await self._to_identity(request, "/internal/accounts")
        self._count_write("account", answer)
        return _relay(request, answer)

    async def create_session(self, request: Request) -> Response:
        """Log in."""
        return _relay(request, await self._to_identity(request, "/internal/sessions"))

    async def show_me(self, request: Request) -> Response:
        """Return who the token speaks for."""
        token = await self._sessions.token_of(request)
        body = {
            "user_id": token.user_id,
            "handle": token.handle,
            "expires_at": token.expires_at,
        }
        return json_answer(request, body)

    async def home_feed(self, request: Request) -> Response:
        """Return one page of the viewer's home feed."""
        viewer = await self._sessions.token_of(request)
        return await self._home.page(request, viewer.user_id)

    async def trending(self, request: Request) -> Response:
        """Return the trending tags."""
        await self._sessions.token_of(request)
        return await self._trending.show(request)

    async def show_post(self, request: Request) -> Response:
        """Return one post."""
        viewer = await self._sessions.token_of(request)
        post_id = read_number(request.path_params, "post_id")
        answer = await self._to_graph(
            request,
            "POST",
            "/internal/posts/batch",
            {"ids": [post_id], "viewer_id": viewer.user_id},
        )
        relay_degraded(request, answer.degraded)
        found = answer.json(_Found).posts
        if found:
            return json_answer(request, {"post": found[0]})
        if answer.degraded:
            detail = f"post {post_id} cannot be looked up now"
            raise ServiceError(503, "dependency_lost", detail, {"Retry-After": "1"})
        raise ServiceError(404, "unknown", f"no post {post_id}")

    async def replies(self, request: Request) -> Response:
        """Return the replies to a post."""
        viewer = await self._sessions.token_of(request)
        post_id = read_number(request.path_params, "post_id")
        path = f"/internal/posts/{post_id}/replies?{_page_query(request, viewer.user_id)}"
        return _relay(request, await self._to_graph(request, "GET", path))

    async def profile(self, request: Request) -> Response:
        """Return a profile by handle."""
        viewer = await self._sessions.token_of(request)
        handle = quote(request.path_params["handle"], safe="")
        path = f"/internal/profiles/by-handle/{handle}?viewer_id={viewer.user_id}"
        return _relay(request, await self._to_graph(request, "GET", path))

    async def user_posts(self, request: Request) -> Response:
        """Return a user's posts."""
        viewer = await self._sessions.token_of(request)
        user_id = read_number(request.path_params, "user_id")
        query = _page_query(request, viewer.user_id)
        before = read_number(request.query_params, "before", 0)
        path = f"/internal/users/{user_id}/posts?{query}&before={before}"
        return _relay(request, await self._to_graph(request, "GET", path))

    async def create_post(self, request: Request) -> Response:
        """Post or reply; the idempotency key makes it safe to send again, here and by clients."""
        author = await self._sessions.token_of(request)
        key = request.headers.get("Idempotency-Key", "")
        if not 1 <= len(key) <= _MAX_KEY:
            detail = f"Idempotency-Key is {key[:80]!r} (accepted: 1 to {_MAX_KEY} characters)"
            raise ServiceError(400, "bad_request", detail)
        sent = await read_json(request, _NewPost)
        body = {
            "author_id": author.user_id,
            "text": sent.text,
            "reply_to": sent.reply_to,
            "idempotency_key": key,
        }
        answer = await self._to_graph(request, "POST", "/internal/posts", body)
        self._count_write("post", answer)
        if answer.status == 200:
            self._replays.inc()
        return _relay(request, answer)

    async def like(self, request: Request) -> Response:
        """Like a post."""
        return await self._associate(request, "POST", "likes", "post_id")

    async def unlike(self, request: Request) -> Response:
        """Take a like back."""
        return await self._associate(request, "DELETE", "likes", "post_id")

    async def follow(self, request: Request) -> Response:
        """Follow a user."""
        return await self._associate(request, "POST", "follows", "user_id")

    async def unfollow(self, request: Request) -> Response:
        """Stop following a user."""
        return await self._associate(request, "DELETE", "follows", "user_id")

    async def block(self, request: Request) -> Response:
        """Block a user; pages kept for the loss of the graph must not show either to the other."""
        response = await self._associate(request, "POST", "blocks", "user_id")
        blocker = await self._sessions.token_of(request)
        if response.status_code < 300:
            blocked_id = read_number(request.path_params, "user_id")
            await asyncio.gather(
                self._forget_page(request, blocker.user_id), self._forget_page(request, blocked_id)
            )
        return response

    async def unblock(self, request: Request) -> Response:
        """End a block."""
        return await self._associate(request, "DELETE", "blocks", "user_id")

    async def _associate(
        self, request: Request, method: str, kind: str, parameter: str
    ) -> Response:
        actor = await self._sessions.token_of(request)
        target = read_number(request.path_params, parameter)
        path = f"/internal/assoc/{kind}/{actor.user_id}/{target}"
        answer = await self._to_graph(request, method, path)
        self._count_write(kind, answer)
        return _relay(request, answer)

    async def _forget_page(self, request: Request, user_id: int) -> None:
        exchange = exchange_of(request)
        try:
            await self._feed.request(
                "POST",
                f"/internal/feed/{user_id}/forget",
                headers=exchange.internal_headers(),
                deadline=exchange.deadline,
                idempotent=True,
            )
        except EdgeError as error:
            # The block itself is stored. The page is used only while the graph is lost, and for
            # a minute at most.
            self._service.note_error("block", error)

    async def _to_graph(
        self, request: Request, method: str, path: str, body: object = None
    ) -> HttpAnswer:
        # All that is sent to the graph may be sent twice: posts carry a key, associations are
        # sets, and a batch is a question with a body.
        exchange = exchange_of(request)
        return await self._graph.request(
            method,
            path,
            json=body,
            headers=exchange.internal_headers(),
            deadline=exchange.deadline,
            idempotent=True,
        )

    async def _to_identity(self, request: Request, path: str) -> HttpAnswer:
        # A sign-up sent twice gives the same account, a log-in another token.
        exchange = exchange_of(request)
        return await self._identity.request(
            "POST",
            path,
            json=msgspec.Raw(await request.body()),
            headers=exchange.internal_headers(),
            deadline=exchange.deadline,
            idempotent=True,
        )

    def _count_write(self, kind: str, answer: HttpAnswer) -> None:
        if answer.status < 300:
            self._acked.labels(kind, "durable").inc()


def main(settings: Settings) -> int:
    """Serve until SIGTERM and return the exit code."""
    service = Service(settings, trusts_callers=False)
    gateway = GatewayApp(service)
    app = service.application(
        gateway.routes(), on_start=gateway.start, on_stop=gateway.stop, ready=gateway.is_ready
    )
    return run_app(app, settings, service.log)


def _relay(request: Request, answer: HttpAnswer) -> Response:
    """Pass an answer on as it is: its body lists what is degraded already."""
    relay_degraded(request, answer.degraded)
    return Response(answer.body, answer.status, media_type="application/json")


def _page_query(request: Request, viewer_id: int) -> str:
    limit = read_number(request.query_params, "limit", 20, most=_MAX_LIMIT)
    return f"viewer_id={viewer_id}&limit={limit}"
