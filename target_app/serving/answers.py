"""JSON answers and the errors that become one."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge.errors import EdgeError, EdgeFailedError, EdgeShedError, EdgeTimeoutError
from target_app.serving.exchange import exchange_of

__all__ = ["ServiceError", "edge_error", "json_answer", "read_json", "read_number"]

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder()


class ServiceError(Exception):
    """An answer other than success: ``status``, a word for programs and a detail for people."""

    def __init__(
        self, status: int, error: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.error = error
        self.detail = detail
        self.headers = dict(headers) if headers is not None else {}
        super().__init__(f"{status} {error}: {detail}")

    def to_response(self) -> Response:
        """Return the answer as problem details (RFC 9457); ``error`` is the word for programs."""
        problem = {
            "type": f"/problems/{self.error}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "error": self.error,
        }
        return Response(
            _ENCODER.encode(problem),
            self.status,
            self.headers,
            media_type="application/problem+json",
        )


def json_answer(
    request: Request,
    body: Mapping[str, object],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a JSON answer; what was marked as degraded so far is listed under ``degraded``."""
    marks = exchange_of(request).degradations
    if marks:
        body = {**body, "degraded": list(dict.fromkeys(str(mark) for mark in marks))}
    return Response(_ENCODER.encode(body), status, headers, media_type="application/json")


async def read_json(request: Request, type_: type[T]) -> T:
    """Decode the request's body; raise a 400 :class:`ServiceError` if it is not of ``type_``."""
    try:
        return msgspec.json.decode(await request.body(), type=type_)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ServiceError(400, "bad_request", f"body: {error}") from error


def read_number(
    source: Mapping[str, str], name: str, default: int | None = None, *, most: int = 2**63 - 1
) -> int:
    """Read a whole number from 0 to ``most`` out of path or query parameters, or raise a 400."""
    text = source.get(name)
    if text is None and default is not None:
        return default
    if text is not None and text.isascii() and text.isdigit() and int(text) <= most:
        return int(text)
    raise ServiceError(400, "bad_request", f"{name} is {text!r} (accepted: 0 to {most})")


def edge_error(error: EdgeError, *, fallback_allowed: bool) -> ServiceError:
    """Return the answer for a lost dependency that nothing covered.

    503 with Retry-After, so that a caller knows to come back. Where the edge's fallback is
    switched off, here or in the upstream, a plain 502 or 504 without it.
    """
    if isinstance(error, EdgeShedError):
        retry_after = {"Retry-After": str(error.retry_after_s)}
        return ServiceError(503, "unavailable", str(error), retry_after)
    if isinstance(error, EdgeFailedError) and error.status in (502, 504):
        return ServiceError(error.status, "dependency_failed", str(error))
    if not fallback_allowed:
        status = 504 if isinstance(error, EdgeTimeoutError) else 502
        return ServiceError(status, "dependency_failed", str(error))
    return ServiceError(503, "dependency_lost", str(error), {"Retry-After": "1"})
