"""The photos of photos: objects of the graph with their authors and likes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.ids import created_at_s
from target_app.photos.access import Access, User
from target_app.serving import ServiceError, ServiceRoute, json_answer, read_json, read_number
from target_app.sessions import Sessions
from target_app.sessions.account import relay

__all__ = ["Pictures"]

_DEADLINE_S = 1.0
_PAGE = 20
_FOLLOWEES = 50
_MUTES = 1000
_SHA = re.compile(r"[0-9a-f]{64}")
_LONGEST_CAPTION = 500
_MAX_KEY = 128


class _NewPhoto(msgspec.Struct):
    image: str
    caption: str = ""


class _Data(msgspec.Struct):
    author_id: int
    image: str
    caption: str


class _Object(msgspec.Struct):
    id: int
    type: str
    data: _Data


class _Objects(msgspec.Struct):
    objects: list[msgspec.Raw]


class _Id(msgspec.Struct):
    id: int


class _Kind(msgspec.Struct):
    type: str


class _Ranges(msgspec.Struct):
    ids: dict[int, list[int]]


class Pictures:
    """The handlers of photos."""

    def __init__(self, access: Access, sessions: Sessions) -> None:
        self._access = access
        self._sessions = sessions

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes."""
        photo = "/p/photos/{photo_id}"
        return (
            ServiceRoute("GET", "/p/feed", self.feed, 1, "photos-feed", _DEADLINE_S),
            ServiceRoute("GET", photo, self.show, 1, "photo", _DEADLINE_S),
            ServiceRoute("POST", photo + "/like", self.like, 2, "photo", _DEADLINE_S),
            ServiceRoute("POST", "/p/photos", self.create, 1, "photo", _DEADLINE_S),
        )

    async def create(self, request: Request) -> Response:
        """Share a photo: its image is in the media store already."""
        author = await self._sessions.token_of(request)
        sent = await read_json(request, _NewPhoto)
        if not _SHA.fullmatch(sent.image):
            raise ServiceError(400, "bad_request", "image (accepted: 64 hexadecimal digits)")
        if len(sent.caption) > _LONGEST_CAPTION or "\0" in sent.caption:
            detail = f"caption (accepted: up to {_LONGEST_CAPTION} characters, no NUL)"
            raise ServiceError(400, "bad_request", detail)
        key = request.headers.get("Idempotency-Key", "")
        if not 1 <= len(key) <= _MAX_KEY or "\0" in key:
            detail = f"Idempotency-Key is {key[:80]!r} (accepted: 1 to {_MAX_KEY} characters)"
            raise ServiceError(400, "bad_request", detail)
        data = _Data(author.user_id, sent.image, sent.caption)
        body = {**msgspec.structs.asdict(data), "idempotency_key": key}
        made = await self._access.graph(request, "POST", "/internal/photos", body)
        if made.status >= 300:
            return relay(request, made)
        photo = _Object(made.json(_Id).id, "photo", data)
        return json_answer(request, {"photo": _shown(photo, {})}, made.status)

    async def show(self, request: Request) -> Response:
        """Return one photo with its likes."""
        viewer = await self._sessions.token_of(request)
        photo = await self._photo(request)
        _, names, likes = await asyncio.gather(
            self._access.require_visible(request, viewer.user_id, photo.data.author_id),
            self._access.users(request, [photo.data.author_id]),
            self._access.graph(
                request, "GET", f"/internal/tao/assoc/photo_liked_by/{photo.id}/count"
            ),
        )
        count = likes.json(dict[str, int])["count"]
        return json_answer(request, {"photo": {**_shown(photo, names), "likes": count}})

    async def like(self, request: Request) -> Response:
        """Like a photo; a second time changes nothing."""
        viewer = await self._sessions.token_of(request)
        photo_id = read_number(request.path_params, "photo_id")
        path = f"/internal/photos/{photo_id}/likes/{viewer.user_id}"
        return relay(request, await self._access.graph(request, "POST", path))

    async def feed(self, request: Request) -> Response:
        """Return the newest photos of oneself and those followed here last."""
        viewer = (await self._sessions.token_of(request)).user_id
        followed, muted = await asyncio.gather(
            self._ranges(request, "photo_follows", [viewer], _FOLLOWEES),
            self._ranges(request, "mutes", [viewer], _MUTES),
        )
        quiet = set(muted.get(viewer, ()))
        authors = [viewer, *(each for each in followed.get(viewer, ()) if each not in quiet)]
        hidden, authored = await asyncio.gather(
            self._access.hidden(request, viewer, authors),
            self._ranges(request, "authored", authors, _PAGE),
        )
        shown = {author: ids for author, ids in authored.items() if author not in hidden}
        newest = sorted((each for ids in shown.values() for each in ids), reverse=True)[:_PAGE]
        photos, names = await asyncio.gather(
            self._photos(request, newest), self._access.users(request, list(shown))
        )
        return json_answer(request, {"items": [_shown(photo, names) for photo in photos]})

    async def _photo(self, request: Request) -> _Object:
        photos = await self._photos(request, [read_number(request.path_params, "photo_id")])
        if not photos:
            raise ServiceError(404, "unknown", "no such user or photo")
        return photos[0]

    async def _photos(self, request: Request, ids: Sequence[int]) -> list[_Object]:
        if not ids:
            return []
        path = "/internal/tao/objects/batch"
        answer = await self._access.graph(request, "POST", path, {"ids": ids})
        return [
            msgspec.json.decode(each, type=_Object)
            for each in answer.json(_Objects).objects
            if msgspec.json.decode(each, type=_Kind).type == "photo"
        ]

    async def _ranges(
        self, request: Request, kind: str, from_ids: Sequence[int], limit: int
    ) -> Mapping[int, list[int]]:
        body = {"kind": kind, "from_ids": from_ids, "limit": limit}
        answer = await self._access.graph(request, "POST", "/internal/tao/ranges", body)
        return answer.json(_Ranges).ids


def _shown(photo: _Object, names: Mapping[int, User]) -> dict[str, object]:
    author = names.get(photo.data.author_id)
    return {
        "id": photo.id,
        **msgspec.structs.asdict(photo.data),
        "handle": author.handle if author is not None else None,
        "created_at": created_at_s(photo.id),
    }
