"""The description of the public interface, as the app itself serves it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.gateway.pages import entity_tag, is_named_by
from target_app.serving import ServiceRoute

__all__ = ["document_routes"]

_SOURCE = Path(__file__).parents[1] / "openapi.yaml"


def document_routes() -> Sequence[ServiceRoute]:
    """Return the route of the document, which is no part of what it describes."""
    return (ServiceRoute("GET", "/openapi.json", _show, 3, "document"),)


async def _show(request: Request) -> Response:
    """Return the OpenAPI document."""
    # Reading YAML takes a while, which nobody else should wait for.
    body = await asyncio.to_thread(_document)
    tag = entity_tag(body)
    if is_named_by(tag, request.headers.get("If-None-Match")):
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body, headers={"ETag": tag}, media_type="application/json")


@functools.cache
def _document() -> bytes:
    import yaml  # noqa: PLC0415  # nobody else here needs it

    return msgspec.json.encode(yaml.safe_load(_SOURCE.read_text(encoding="utf-8")))
