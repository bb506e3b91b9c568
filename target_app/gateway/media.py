"""Images: taken in for users, and shown through either of two CDN fronts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge import EdgeError, HttpAnswer
from target_app.gateway.context import GatewayContext
from target_app.serving import (
    ServiceError,
    ServiceRoute,
    exchange_of,
    json_answer,
    mark_degraded,
)
from target_app.side.media import IMMUTABLE, read_image
from target_app.side.store import is_digest

__all__ = ["Media"]

_UPLOAD_DEADLINE_S = 1.5
_SHOW_DEADLINE_S = 0.8

_OTHER = {"a": "b", "b": "a"}

# A transparent GIF of one pixel.
_PLACEHOLDER = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;"
)


class _Stored(msgspec.Struct):
    sha256: str


class Media:
    """Uploads, and images by name."""

    def __init__(self, context: GatewayContext) -> None:
        self._context = context
        self._service = context.service
        self._store = context.service.http_edge("gw-media")
        self._fronts = {cdn: context.service.http_edge(f"cdn-{cdn}") for cdn in _OTHER}

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes of images."""
        path, upload = "/v1/media", self.upload
        return (
            ServiceRoute("GET", "/m/{cdn}/{sha256}", self.show, 2, "media-read", _SHOW_DEADLINE_S),
            ServiceRoute(
                "POST",
                path,
                upload,
                3,
                "upload",
                _UPLOAD_DEADLINE_S,
                shadow=upload,
                # Where to stop reading is the upload's own matter.
                most_bytes=2**63,
            ),
        )

    async def upload(self, request: Request) -> Response:
        """Keep an image: 201, the same for one that somebody has brought before."""
        owner = await self._context.sessions.token_of(request)
        if self._service.knobs.is_off("upload"):
            detail = "uploads are switched off for now"
            raise ServiceError(503, "switched_off", detail, {"Retry-After": "30"})
        await self._context.limits.take(request, "upload", owner.user_id)
        data = await read_image(request)
        exchange = exchange_of(request)
        if exchange.is_shadow:
            digest = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
            return json_answer(request, _uploaded(digest), 201)
        answer = await self._store.request(
            "POST",
            "/media",
            body=data,
            headers=exchange.internal_headers(),
            deadline=exchange.deadline,
            idempotent=True,
        )
        self._context.count_write("upload", answer)
        return json_answer(request, _uploaded(answer.json(_Stored).sha256), 201)

    async def show(self, request: Request) -> Response:
        """Return an image from the front that was asked for, or from the other if that is lost."""
        cdn, digest = request.path_params["cdn"], request.path_params["sha256"]
        if cdn not in _OTHER or not is_digest(digest):
            raise ServiceError(404, "unknown", "no such image")
        tag = f'"{digest}"'
        kept = {"Cache-Control": IMMUTABLE, "ETag": tag}
        if tag in request.headers.get("If-None-Match", ""):
            return Response(status_code=304, headers=kept)
        answer = await self._ask(request, cdn, digest)
        served_by = cdn
        if answer is None:
            served_by = _OTHER[cdn]
            answer = await self._ask(request, served_by, digest)
            mode = "placeholder" if answer is None else "other-cdn"
            mark_degraded(request, "media", mode, f"cdn-{cdn}")
        if answer is None:
            # Not to be kept: the image itself comes back with the fronts.
            headers = {"Cache-Control": "no-store"}
            return Response(_PLACEHOLDER, headers=headers, media_type="image/gif")
        if answer.status != 200:
            raise ServiceError(404, "unknown", f"no image {digest}")
        headers = {**kept, "X-Cdn": served_by, "X-Content-Type-Options": "nosniff"}
        return Response(answer.body, headers=headers, media_type=answer.headers["Content-Type"])

    async def _ask(self, request: Request, cdn: str, digest: str) -> HttpAnswer | None:
        exchange = exchange_of(request)
        try:
            return await self._fronts[cdn].request(
                "GET",
                f"/media/{digest}",
                headers=exchange.internal_headers(),
                deadline=exchange.deadline,
            )
        except EdgeError as error:
            if not self._service.fallback_allowed(f"cdn-{cdn}"):
                raise
            self._service.note_error("media-read", error)
            return None


def _uploaded(digest: str) -> dict[str, object]:
    # The first address is the one to use: half of all images go by each front.
    order = "ab" if int(digest[0], 16) < 8 else "ba"
    return {"sha256": digest, "urls": [f"/m/{cdn}/{digest}" for cdn in order]}
