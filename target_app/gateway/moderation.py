"""Before a text is shown to others, moderation is asked; where it is lost, the text waits."""

from __future__ import annotations

import enum

import msgspec
from starlette.requests import Request

from target_app.edge import EdgeError
from target_app.serving import Service, ServiceError, exchange_of, mark_degraded

__all__ = ["Moderation", "PostState"]

# Its timeout is the whole time that a post may spend on being judged.
_EDGE = "gw-moderation"


class PostState(enum.IntEnum):
    """Who sees a post: everybody who may, or its author only until it has been reviewed."""

    VISIBLE = 1
    PENDING = 2

    @property
    def word(self) -> str:
        """The state as an answer names it."""
        return "visible" if self is PostState.VISIBLE else "pending_review"


class _Verdict(msgspec.Struct):
    verdict: str


class Moderation:
    """Asks about texts."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._edge = service.http_edge(_EDGE)

    async def review(self, request: Request, text: str) -> PostState:
        """Return the state in which a text may be written; raise a 422 if it may not be.

        Without an answer in time the post is kept for later review, and the answer marked.
        """
        if not self._service.flags.is_on("moderation.enabled"):
            return PostState.VISIBLE
        exchange = exchange_of(request)
        try:
            answer = await self._edge.request(
                "POST",
                "/moderation/check",
                json={"text": text},
                headers=exchange.internal_headers(),
                deadline=exchange.deadline,
                idempotent=True,
            )
            verdict = answer.json(_Verdict).verdict
        except (EdgeError, msgspec.DecodeError) as error:
            return self._unanswered(request, error)
        if verdict == "reject":
            raise ServiceError(422, "rejected", "text: it breaks the rules of the place")
        return PostState.VISIBLE if verdict == "ok" else PostState.PENDING

    def _unanswered(self, request: Request, error: Exception) -> PostState:
        if self._service.has_defect("fail_open_moderation"):
            return PostState.VISIBLE
        if isinstance(error, EdgeError) and not self._service.fallback_allowed(_EDGE):
            raise error
        self._service.note_error("moderation", error)
        mark_degraded(request, "moderation", "pending", _EDGE)
        return PostState.PENDING
