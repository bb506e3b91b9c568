"""What operators ask of a process and turn in it. Never reachable through the entry."""

from __future__ import annotations

from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from target_app.flags import FlagFileError, Flags
from target_app.serving.answers import ServiceError
from target_app.serving.knobs import HIGHEST, LEVELS, Knobs

__all__ = ["admin_routes"]


class _Host(Protocol):
    flags: Flags
    knobs: Knobs


class _Level(msgspec.Struct):
    level: int | None


def admin_routes(host: _Host) -> list[BaseRoute]:
    """Return the routes under ``/admin``: flags and knobs of this process."""

    async def flags(request: Request) -> Response:
        if request.method == "PUT":
            try:
                body = msgspec.json.decode(
                    await request.body(), type=dict[str, bool | int | float | str | None]
                )
                for name, value in body.items():
                    host.flags.switch(name, value)
            except (msgspec.DecodeError, FlagFileError) as error:
                return ServiceError(400, "bad_request", str(error)).to_response()
        return _json(dict(host.flags.variants()))

    async def knobs(request: Request) -> Response:
        if request.method == "PUT":
            try:
                host.knobs.turn(msgspec.json.decode(await request.body(), type=_Level).level)
            except (msgspec.DecodeError, ValueError) as error:
                return ServiceError(400, "bad_request", str(error)).to_response()
        off = sorted(feature for feature in LEVELS if host.knobs.is_off(feature))
        return _json({"level": host.knobs.level, "highest": HIGHEST, "off": off})

    return [
        Route("/admin/flags", flags, methods=["GET", "PUT"]),
        Route("/admin/knobs", knobs, methods=["GET", "PUT"]),
    ]


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
