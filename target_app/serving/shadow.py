"""Answering copies of writes: as the service would, with nothing written.

A service that is compared with another by copied traffic says so under
``/.well-known/shadow-target``, before anybody sends it anything.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from target_app.serving.answers import json_answer, read_number

__all__ = ["SHADOW_PATH", "answer_without_writing", "show_shadow_target"]

SHADOW_PATH = "/.well-known/shadow-target"


async def answer_without_writing(request: Request) -> Response:
    """Return what a write that changes nothing would be answered with."""
    await request.body()
    status = 201 if request.method == "POST" else 200
    return json_answer(request, {"changed": False, "shadow": True}, status)


async def show_shadow_target(request: Request) -> Response:
    """Say that this is a service to send copies to, and that it writes nothing of them."""
    nonce = read_number(request.query_params, "nonce")
    return json_answer(request, {"nonce": nonce, "writes": "none", "service": "threads"})
