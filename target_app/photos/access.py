"""Who somebody is, asked of identity, and who may see whom, asked of the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec
from starlette.requests import Request

from target_app.edge import EdgeError, EdgeFailedError, HttpAnswer, HttpEdge
from target_app.identity.remembered import Remembered
from target_app.serving import Service, ServiceError, exchange_of, mark_degraded, relay_degraded

__all__ = ["Access", "User"]

_EDGE = "photos-identity"
_STALE_S = 300.0


class User(msgspec.Struct, frozen=True):
    """The public part of an account."""

    user_id: int
    handle: str
    display_name: str
    bio: str
    avatar: str | None
    is_private: bool
    version: int


class _Users(msgspec.Struct):
    users: list[User]


class _Hidden(msgspec.Struct):
    hidden: dict[int, str]


class Access:
    """Names and permissions for the handlers of photos."""

    def __init__(self, service: Service, identity: HttpEdge, graph: HttpEdge) -> None:
        self._service = service
        self._identity = identity
        self._graph = graph
        self._handles = Remembered(service.clock, keep_s=_STALE_S, capacity=10_000)

    async def user_by_handle(self, request: Request, handle: str) -> User:
        """Return whom a handle names now, or while identity is lost, named of late, marked."""
        remembered = self._handles.get(handle)
        if remembered is not None and self._service.has_defect("stale_handle"):
            return msgspec.convert(remembered.value, User)
        path = f"/internal/users/by-handle/{quote(handle, safe='')}"
        try:
            answer = await self._ask(request, self._identity, "GET", path)
        except EdgeError as error:
            if remembered is None or not self._covers(error):
                raise
            mark_degraded(request, "names", "cached", _EDGE, remembered.age_s)
            return msgspec.convert(remembered.value, User)
        if answer.status != 200:
            raise ServiceError(404, "unknown_user", "no such user")
        user = answer.json(User)
        self._handles.put(handle, msgspec.structs.asdict(user))
        return user

    async def users(self, request: Request, ids: Sequence[int]) -> Mapping[int, User]:
        """Return users by id; without identity nobody is named, marked."""
        if not ids:
            return {}
        body = {"ids": list(dict.fromkeys(ids))}
        try:
            answer = await self._ask(request, self._identity, "POST", "/internal/users/batch", body)
        except EdgeError as error:
            if not self._covers(error):
                raise
            mark_degraded(request, "names", "missing", _EDGE)
            return {}
        return {user.user_id: user for user in answer.json(_Users).users}

    async def hidden(
        self, request: Request, viewer_id: int, ids: Sequence[int]
    ) -> Mapping[int, str]:
        """Return of whom nothing may be shown to the viewer, and why; raise if it is unknown."""
        if not ids or self._service.has_defect("block_not_honoured_cross_app"):
            return {}
        body = {"viewer_id": viewer_id, "user_ids": list(ids), "app": "photos"}
        answer = await self.graph(request, "POST", "/internal/permissions", body)
        return answer.json(_Hidden).hidden

    async def require_visible(self, request: Request, viewer_id: int, user_id: int) -> None:
        """Raise a 404 if nothing of the user may be shown to the viewer."""
        if user_id in await self.hidden(request, viewer_id, [user_id]):
            raise ServiceError(404, "unknown", "no such user or photo")

    async def graph(
        self, request: Request, method: str, path: str, body: object = None
    ) -> HttpAnswer:
        """Ask the graph; every call of photos may be sent twice."""
        return await self._ask(request, self._graph, method, path, body)

    async def _ask(
        self, request: Request, edge: HttpEdge, method: str, path: str, body: object = None
    ) -> HttpAnswer:
        exchange = exchange_of(request)
        answer = await edge.request(
            method,
            path,
            json=body,
            headers=exchange.internal_headers(),
            deadline=exchange.deadline,
            idempotent=True,
        )
        relay_degraded(request, answer.degraded)
        return answer

    def _covers(self, error: EdgeError) -> bool:
        """Count a loss that something else is answered for, unless that is switched off."""
        is_reported = isinstance(error, EdgeFailedError) and error.is_of_dependency
        if is_reported or not self._service.fallback_allowed(_EDGE):
            return False
        self._service.note_error("names", error)
        return True
