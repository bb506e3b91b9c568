"""Bodies from outside are read up to a limit, whatever their header says about their length."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Message, Receive

from target_app.serving.answers import ServiceError

__all__ = ["limited", "said_bytes", "too_large"]


def limited(receive: Receive, most_bytes: int) -> Receive:
    """Return a ``receive`` that raises a 413 ServiceError beyond so many bytes of body."""
    received = 0

    async def receive_some() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most_bytes:
            raise too_large(most_bytes)
        return message

    return receive_some


def said_bytes(request: Request) -> int:
    """Return the length that a request says its body has, 0 where it says none."""
    text = request.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def too_large(most_bytes: int) -> ServiceError:
    """Return the error for a longer body."""
    return ServiceError(413, "too_large", f"the body is too long (accepted: {most_bytes} bytes)")
