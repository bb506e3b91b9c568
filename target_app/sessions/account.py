"""The account behind a token, as both apps show and change it."""

from __future__ import annotations

import re

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge import HttpAnswer, HttpEdge
from target_app.serving import ServiceError, exchange_of, read_json, relay_degraded

__all__ = ["change_account", "delete_account", "relay", "show_account"]

_VERSION = re.compile(r'"?([0-9]{1,9})"?')


class _Version(msgspec.Struct):
    version: int


async def show_account(request: Request, identity: HttpEdge, user_id: int) -> Response:
    """Return the account with its version, which a change has to name."""
    return _with_tag(request, await _ask(request, identity, "GET", user_id))


async def change_account(request: Request, identity: HttpEdge, user_id: int) -> Response:
    """Pass a change on: ``If-Match`` names the version that the client saw."""
    seen = request.headers.get("If-Match")
    if seen is None:
        detail = "no If-Match (accepted: the version of the account that was seen)"
        raise ServiceError(428, "precondition_required", detail)
    found = _VERSION.fullmatch(seen.strip())
    if found is None:
        raise ServiceError(400, "bad_request", f"If-Match is {seen[:80]!r} (accepted: a version)")
    changes = await read_json(request, dict[str, msgspec.Raw])
    if "version" in changes:
        raise ServiceError(400, "bad_request", "body: version goes into If-Match")
    body = {**changes, "version": int(found[1])}
    return _with_tag(request, await _ask(request, identity, "PATCH", user_id, body))


async def delete_account(request: Request, identity: HttpEdge, user_id: int) -> Response:
    """Delete the account, in both apps; its tokens end with it."""
    return relay(request, await _ask(request, identity, "DELETE", user_id))


def relay(request: Request, answer: HttpAnswer) -> Response:
    """Pass an answer on as it is: its body lists what is degraded already."""
    relay_degraded(request, answer.degraded)
    media_type = answer.headers.get("Content-Type", "application/json")
    return Response(answer.body, answer.status, media_type=media_type)


async def _ask(
    request: Request, identity: HttpEdge, method: str, user_id: int, body: object = None
) -> HttpAnswer:
    exchange = exchange_of(request)
    return await identity.request(
        method,
        f"/internal/users/{user_id}",
        json=body,
        headers=exchange.internal_headers(),
        deadline=exchange.deadline,
    )


def _with_tag(request: Request, answer: HttpAnswer) -> Response:
    response = relay(request, answer)
    if answer.status == 200:
        response.headers["ETag"] = f'"{answer.json(_Version).version}"'
    return response
