"""Other people: their profiles, following, blocking, muting, and finding them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from target_app.gateway.context import GatewayContext, page_query
from target_app.serving import ServiceError, ServiceRoute, read_number
from target_app.sessions.account import relay
from target_app.sessions.kept import forget_pages

__all__ = ["PeopleRoutes"]

_DEADLINE_S = 1.0
_LONGEST_SEARCH = 30


class PeopleRoutes:
    """The handlers of profiles and of what ties people to each other."""

    def __init__(self, context: GatewayContext) -> None:
        self._context = context

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes."""
        route = ServiceRoute
        user, asked = "/v1/users/{user_id}", "/v1/me/follow-requests"
        return (
            route("GET", "/v1/users/{handle}", self.profile, 1, "profile", _DEADLINE_S),
            route("GET", user + "/posts", self.user_posts, 1, "profile", _DEADLINE_S),
            route("PUT", user + "/follow", self.follow, 1, "follow", _DEADLINE_S),
            route("PUT", user + "/block", self.block, 0, "block", _DEADLINE_S),
            route("PUT", user + "/mute", self.mute, 0, "mute", _DEADLINE_S),
            route("DELETE", user + "/follow", self.unfollow, 1, "follow", _DEADLINE_S),
            route("DELETE", user + "/block", self.unblock, 0, "block", _DEADLINE_S),
            route("DELETE", user + "/mute", self.unmute, 0, "mute", _DEADLINE_S),
            route("GET", "/v1/search", self.search, 2, "search", _DEADLINE_S),
            route("GET", asked, self.requests, 1, "follow", _DEADLINE_S),
            route("PUT", asked + "/{user_id}", self.accept, 1, "follow", _DEADLINE_S),
            route("DELETE", asked + "/{user_id}", self.deny, 1, "follow", _DEADLINE_S),
        )

    async def profile(self, request: Request) -> Response:
        """Return a profile by handle."""
        viewer = await self._context.sessions.token_of(request)
        handle = quote(request.path_params["handle"], safe="")
        path = f"/internal/profiles/by-handle/{handle}?viewer_id={viewer.user_id}"
        return relay(request, await self._context.ask_graph(request, "GET", path))

    async def user_posts(self, request: Request) -> Response:
        """Return a user's posts."""
        viewer = await self._context.sessions.token_of(request)
        user_id = read_number(request.path_params, "user_id")
        before = read_number(request.query_params, "before", 0)
        query = f"{page_query(request, viewer.user_id)}&before={before}"
        path = f"/internal/users/{user_id}/posts?{query}"
        return relay(request, await self._context.ask_graph(request, "GET", path))

    async def search(self, request: Request) -> Response:
        """Return those whose handle begins with ``q``, the most followed first."""
        viewer = await self._context.sessions.token_of(request)
        prefix = request.query_params.get("q", "").lower()
        if not 1 <= len(prefix) <= _LONGEST_SEARCH or "\0" in prefix:
            detail = f"q is {prefix[:80]!r} (accepted: 1 to {_LONGEST_SEARCH} characters)"
            raise ServiceError(400, "bad_request", detail)
        query = f"q={quote(prefix, safe='')}&{page_query(request, viewer.user_id, most=20)}"
        return relay(
            request, await self._context.ask_graph(request, "GET", f"/internal/search?{query}")
        )

    async def follow(self, request: Request) -> Response:
        """Follow a user; a private one is asked first."""
        viewer = await self._context.sessions.token_of(request)
        await self._context.limits.take(request, "follow", viewer.user_id)
        return await self._tie(request, "POST", "follows")

    async def unfollow(self, request: Request) -> Response:
        """Stop following a user, or take the request back."""
        return await self._forgetting(request, await self._tie(request, "DELETE", "follows"))

    async def block(self, request: Request) -> Response:
        """Block a user; pages kept for the loss of the graph must not show either to the other."""
        response = await self._tie(request, "POST", "blocks")
        return await self._forgetting(request, response, is_mutual=True)

    async def unblock(self, request: Request) -> Response:
        """End a block."""
        return await self._tie(request, "DELETE", "blocks")

    async def mute(self, request: Request) -> Response:
        """Leave a user out of one's feeds and notifications."""
        return await self._forgetting(request, await self._tie(request, "POST", "mutes"))

    async def unmute(self, request: Request) -> Response:
        """End a mute."""
        return await self._tie(request, "DELETE", "mutes")

    async def requests(self, request: Request) -> Response:
        """Return who asks to follow one's private account."""
        owner = await self._context.sessions.token_of(request)
        path = f"/internal/assoc/follow_request_of/{owner.user_id}"
        return relay(request, await self._context.ask_graph(request, "GET", path))

    async def accept(self, request: Request) -> Response:
        """Let somebody follow one's private account."""
        return await self._answer(request, "POST")

    async def deny(self, request: Request) -> Response:
        """Do not let somebody follow one's private account."""
        return await self._answer(request, "DELETE")

    async def _answer(self, request: Request, method: str) -> Response:
        owner = await self._context.sessions.token_of(request)
        follower_id = read_number(request.path_params, "user_id")
        path = f"/internal/users/{owner.user_id}/requests/{follower_id}"
        answer = await self._context.ask_graph(request, method, path)
        self._context.count_write("follow-requests", answer)
        return relay(request, answer)

    async def _tie(self, request: Request, method: str, kind: str) -> Response:
        actor = await self._context.sessions.token_of(request)
        target = read_number(request.path_params, "user_id")
        path = f"/internal/assoc/{kind}/{actor.user_id}/{target}"
        answer = await self._context.ask_graph(request, method, path)
        self._context.count_write(kind, answer)
        return relay(request, answer)

    async def _forgetting(
        self, request: Request, response: Response, *, is_mutual: bool = False
    ) -> Response:
        """Drop the kept pages that may show somebody who is not to be seen any more."""
        if response.status_code < 300:
            actor = await self._context.sessions.token_of(request)
            other_id = read_number(request.path_params, "user_id")
            users = (actor.user_id, other_id) if is_mutual else (actor.user_id,)
            note_error = self._context.service.note_error
            await forget_pages(request, self._context.feed, users, note_error)
        return response
