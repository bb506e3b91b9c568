"""Posts, replies, reposts and likes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence

import msgspec
from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import Response

from target_app.gateway.context import GatewayContext, page_query
from target_app.gateway.moderation import Moderation, PostState
from target_app.serving import (
    ServiceError,
    ServiceRoute,
    json_answer,
    read_json,
    read_number,
    relay_degraded,
)
from target_app.sessions.account import relay

__all__ = ["PostRoutes"]

_DEADLINE_S = 1.0
_MAX_KEY = 128
_MOST_IMAGES = 4
_LONGEST_TEXT = 500
_DIGEST = re.compile(r"[0-9a-f]{64}")


class _NewPost(msgspec.Struct):
    text: str
    reply_to: int | None = None
    media: tuple[str, ...] = ()


class _Found(msgspec.Struct):
    posts: list[msgspec.Raw]


class PostRoutes:
    """The handlers of posts."""

    def __init__(self, context: GatewayContext) -> None:
        self._context = context
        self._moderation = Moderation(context.service)
        self._replays = Counter(
            "app_idempotent_replays_total",
            "Posts whose key had been used before.",
            registry=context.service.registry,
        )

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes, the most frequent first."""
        route = ServiceRoute
        posts, post = "/v1/posts", "/v1/posts/{post_id}"
        return (
            route("GET", post, self.show, 1, "thread", _DEADLINE_S),
            route("GET", post + "/replies", self.replies, 1, "thread", _DEADLINE_S),
            route("POST", post + "/like", self.like, 2, "like", _DEADLINE_S),
            route("POST", posts, self.create, 1, "post", _DEADLINE_S),
            route("POST", post + "/repost", self.repost, 1, "post", _DEADLINE_S),
            route("DELETE", post, self.delete, 1, "post", _DEADLINE_S),
            route("DELETE", post + "/like", self.unlike, 2, "like", _DEADLINE_S),
        )

    async def show(self, request: Request) -> Response:
        """Return one post."""
        viewer = await self._context.sessions.token_of(request)
        post_id = read_number(request.path_params, "post_id")
        asked = {"ids": [post_id], "viewer_id": viewer.user_id}
        path = "/internal/posts/batch"
        answer = await self._context.ask_graph(request, "POST", path, asked)
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
        viewer = await self._context.sessions.token_of(request)
        post_id = read_number(request.path_params, "post_id")
        path = f"/internal/posts/{post_id}/replies?{page_query(request, viewer.user_id)}"
        return relay(request, await self._context.ask_graph(request, "GET", path))

    async def create(self, request: Request) -> Response:
        """Post or reply; the idempotency key makes it safe to send again, here and by clients."""
        author = await self._context.sessions.token_of(request)
        key = self._key(request)
        sent = await read_json(request, _NewPost)
        if not 1 <= len(sent.text) <= _LONGEST_TEXT:
            detail = f"text (accepted: 1 to {_LONGEST_TEXT} characters)"
            raise ServiceError(400, "bad_request", detail)
        if len(sent.media) > _MOST_IMAGES or not all(map(_DIGEST.fullmatch, sent.media)):
            detail = f"media (accepted: up to {_MOST_IMAGES} SHA-256 of uploaded images)"
            raise ServiceError(400, "bad_request", detail)
        kind = "post" if sent.reply_to is None else "reply"
        self._refuse_at_knob()
        await self._context.limits.take(request, kind, author.user_id)
        state = await self._moderation.review(request, sent.text)
        body = {"text": sent.text, "reply_to": sent.reply_to, "media": sent.media}
        return await self._write(request, author.user_id, key, {**body, "state": int(state)})

    async def repost(self, request: Request) -> Response:
        """Show a post to one's own followers."""
        author = await self._context.sessions.token_of(request)
        post_id = read_number(request.path_params, "post_id")
        key = self._key(request)
        self._refuse_at_knob()
        await self._context.limits.take(request, "repost", author.user_id)
        body = {"text": "", "repost_of": post_id, "state": int(PostState.VISIBLE)}
        return await self._write(request, author.user_id, key, body)

    async def delete(self, request: Request) -> Response:
        """Delete a post of one's own for good."""
        author = await self._context.sessions.token_of(request)
        post_id = read_number(request.path_params, "post_id")
        path = f"/internal/posts/{post_id}?author_id={author.user_id}"
        answer = await self._context.ask_graph(request, "DELETE", path)
        self._context.count_write("delete", answer)
        return relay(request, answer)

    async def like(self, request: Request) -> Response:
        """Like a post."""
        return await self._like(request, "POST")

    async def unlike(self, request: Request) -> Response:
        """Take a like back."""
        return await self._like(request, "DELETE")

    async def _like(self, request: Request, method: str) -> Response:
        actor = await self._context.sessions.token_of(request)
        post_id = read_number(request.path_params, "post_id")
        path = f"/internal/assoc/likes/{actor.user_id}/{post_id}"
        answer = await self._context.ask_graph(request, method, path)
        self._context.count_write("likes", answer)
        return relay(request, answer)

    async def _write(
        self, request: Request, author_id: int, key: str, body: dict[str, object]
    ) -> Response:
        sent = {**body, "author_id": author_id, "idempotency_key": key}
        answer = await self._context.ask_graph(request, "POST", "/internal/posts", sent)
        self._context.count_write("post", answer)
        if answer.status == 200:
            self._replays.inc()
        return relay(request, answer)

    def _key(self, request: Request) -> str:
        key = request.headers.get("Idempotency-Key", "")
        if not 1 <= len(key) <= _MAX_KEY:
            detail = f"Idempotency-Key is {key[:80]!r} (accepted: 1 to {_MAX_KEY} characters)"
            raise ServiceError(400, "bad_request", detail)
        if self._context.service.has_defect("duplicate_on_retry"):
            return uuid.uuid4().hex
        return key

    def _refuse_at_knob(self) -> None:
        if self._context.service.knobs.is_off("posting"):
            detail = "posting is switched off for the moment"
            raise ServiceError(503, "knob", detail, {"Retry-After": "5"})
