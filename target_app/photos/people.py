"""The people of photos: profiles, and who follows, blocks and mutes whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge import HttpEdge
from target_app.photos.access import Access
from target_app.serving import ServiceError, ServiceRoute, json_answer, read_number
from target_app.serving.endpoint import Handler
from target_app.sessions import Sessions
from target_app.sessions.account import change_account, delete_account, relay, show_account
from target_app.sessions.kept import forget_pages

__all__ = ["People"]

# One's own list of follows; blocks and mutes are those of the person, in both apps.
_KINDS = {"follow": "photo_follows", "block": "blocks", "mute": "mutes"}
_DEADLINE_S = 1.0


class _Count(msgspec.Struct):
    count: int


class People:
    """The handlers of people."""

    def __init__(
        self,
        access: Access,
        sessions: Sessions,
        identity: HttpEdge,
        feed: HttpEdge,
        note_error: Callable[[str, Exception], None],
    ) -> None:
        self._access = access
        self._sessions = sessions
        self._identity = identity
        self._feed = feed
        self._note_error = note_error

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes."""
        tiers = {"follow": 1, "block": 0, "mute": 0}
        return (
            _route("GET", "/p/users/{handle}", self.profile, 1, "photos-profile"),
            _route("GET", "/p/me", self.show_me, 1, "photos-me"),
            _route("PATCH", "/p/me", self.change_me, 1, "photos-me"),
            _route("DELETE", "/p/me", self.delete_me, 1, "photos-me"),
            *(
                _route(method, f"/p/users/{{user_id}}/{word}", self.associate, tier, word)
                for word, tier in tiers.items()
                for method in ("PUT", "DELETE")
            ),
        )

    async def profile(self, request: Request) -> Response:
        """Return a profile; of a private account only who it is."""
        viewer = await self._sessions.token_of(request)
        user = await self._access.user_by_handle(request, request.path_params["handle"])
        path = f"/internal/tao/assoc/photo_followed_by/{user.user_id}/count"
        hidden, followers = await asyncio.gather(
            self._access.hidden(request, viewer.user_id, [user.user_id]),
            self._access.graph(request, "GET", path),
        )
        reason = hidden.get(user.user_id)
        if reason not in (None, "private"):
            raise ServiceError(404, "unknown_user", "no such user")
        body = msgspec.structs.asdict(user)
        if reason == "private":
            body |= {"bio": "", "avatar": None}
        return json_answer(request, {**body, "followers": followers.json(_Count).count})

    async def show_me(self, request: Request) -> Response:
        """Return one's account."""
        viewer = await self._sessions.token_of(request)
        return await show_account(request, self._identity, viewer.user_id)

    async def change_me(self, request: Request) -> Response:
        """Change one's account, in both apps."""
        viewer = await self._sessions.token_of(request)
        return await change_account(request, self._identity, viewer.user_id)

    async def delete_me(self, request: Request) -> Response:
        """Delete one's account, in both apps."""
        viewer = await self._sessions.token_of(request)
        return await delete_account(request, self._identity, viewer.user_id)

    async def associate(self, request: Request) -> Response:
        """Follow, block or mute somebody, or end that."""
        viewer = await self._sessions.token_of(request)
        kind = _KINDS[request.url.path.rpartition("/")[2]]
        other = read_number(request.path_params, "user_id")
        method = "POST" if request.method == "PUT" else "DELETE"
        path = f"/internal/assoc/{kind}/{viewer.user_id}/{other}"
        answer = await self._access.graph(request, method, path)
        if method == "POST" and kind != "photo_follows" and answer.status < 300:
            users = (viewer.user_id, other) if kind == "blocks" else (viewer.user_id,)
            await forget_pages(request, self._feed, users, self._note_error)
        return relay(request, answer)


def _route(method: str, path: str, handler: Handler, tier: int, feature: str) -> ServiceRoute:
    return ServiceRoute(method, path, handler, tier, feature, _DEADLINE_S)
