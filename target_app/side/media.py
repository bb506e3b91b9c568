"""The routes of the media store; both CDN fronts read from it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from target_app.serving import Service, ServiceError, ServiceRoute, json_answer
from target_app.side.store import MAX_IMAGE, MediaStore, image_type, is_digest

__all__ = ["IMMUTABLE", "Media", "read_image"]

# What is named by its content never changes.
IMMUTABLE = "public, max-age=31536000, immutable"


class Media:
    """Stores and returns images."""

    def __init__(self, store: MediaStore, service: Service) -> None:
        self._store = store
        self._service = service

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes of the store."""
        return (
            ServiceRoute("GET", "/media/{digest}", self.show, 2, "media"),
            ServiceRoute("POST", "/media", self.add, 3, "media"),
        )

    async def add(self, request: Request) -> Response:
        """Keep an image: 201, or 200 if it was there already."""
        data = await read_image(request)
        try:
            digest, is_new = await asyncio.to_thread(self._store.put, data)
        except OSError as error:
            self._service.note_error("media", error)
            detail = "the image cannot be stored now"
            raise ServiceError(503, "storage_lost", detail, {"Retry-After": "5"}) from error
        return json_answer(request, {"sha256": digest}, 201 if is_new else 200)

    async def show(self, request: Request) -> Response:
        """Return an image, to be cached for ever."""
        digest = request.path_params["digest"]
        data = await asyncio.to_thread(self._store.get, digest) if is_digest(digest) else None
        if data is None:
            raise ServiceError(404, "unknown", f"no image {digest[:64]!r}")
        headers = {"Cache-Control": IMMUTABLE, "ETag": f'"{digest}"'}
        return Response(data, headers=headers, media_type=image_type(data))


async def read_image(request: Request) -> bytes:
    """Read an image from a request's body; raise a 4xx :class:`ServiceError` if it is none.

    A body that is too long is refused by what it says of its length, or else as soon as more than
    that has come.
    """
    detail = f"an image of more than {MAX_IMAGE} bytes"
    length = request.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > MAX_IMAGE:
        raise ServiceError(413, "too_large", detail)
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > MAX_IMAGE:
            raise ServiceError(413, "too_large", detail)
    data = bytes(parts)
    if image_type(data) is None:
        accepted = "accepted: PNG, JPEG, WebP or GIF"
        raise ServiceError(415, "unsupported_media_type", f"body is no image ({accepted})")
    return data
