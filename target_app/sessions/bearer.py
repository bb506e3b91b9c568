"""Who a request speaks for: tokens are verified here, without asking anybody."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import Request

from target_app.clock import Clock
from target_app.identity.tokens import GRACE_S, KeyRing, Token, TokenError, verify
from target_app.serving import ServiceError, mark_degraded

__all__ = ["Keys", "Sessions"]

# The apps by their bit in a token.
_APPS = {1: "photos", 2: "threads"}


class Keys(Protocol):
    """Where the verifying keys come from."""

    @property
    def ring(self) -> KeyRing | None:
        """The keys, None until they have been fetched once."""
        ...

    @property
    def revoked(self) -> frozenset[int]:
        """The users whose tokens are void."""
        ...

    async def is_identity_lost(self) -> bool:
        """Return whether identity cannot be reached; the keys are fresh if it can."""
        ...


class Sessions:
    """Verifies the bearer token of requests to an app: 1 photos, 2 threads.

    ``edge`` is the way to identity, for the mark of answers that do without it.
    """

    def __init__(
        self, keys: Keys, clock: Clock, *, app: int = 2, edge: str = "gw-identity"
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._app = app
        self._edge = edge

    async def token_of(self, request: Request) -> Token:
        """Return what the request's token says; raise a 401 or 503 :class:`ServiceError`.

        A token that expired less than ``GRACE_S`` ago is accepted, and the answer marked, for as
        long as identity is lost.
        """
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise _unauthorized("no bearer token")
        try:
            token = self._verified(text)
        except TokenError as error:
            if error.reason not in ("unknown_key", "expired"):
                raise _unauthorized(error.reason) from error
            token = await self._second_look(request, text, error)
        if token.user_id in self._keys.revoked:
            raise _unauthorized("the account was deleted")
        if not token.apps & self._app:
            name = _APPS[self._app]
            raise ServiceError(403, "not_joined", f"the account has not joined {name}")
        return token

    def _verified(self, text: str) -> Token:
        ring = self._keys.ring
        if ring is None:
            raise ServiceError(503, "unavailable", "no keys yet", {"Retry-After": "1"})
        return verify(text, ring, now_s=self._clock.wall())

    async def _second_look(self, request: Request, text: str, error: TokenError) -> Token:
        is_lost = await self._keys.is_identity_lost()
        if error.reason == "unknown_key":
            if is_lost:
                detail = "the key of this token cannot be fetched"
                raise ServiceError(503, "unavailable", detail, {"Retry-After": "1"}) from error
            try:
                return self._verified(text)
            except TokenError as again:
                raise _unauthorized(again.reason) from again
        token = error.token
        if token is None or not is_lost or self._clock.wall() >= token.expires_at + GRACE_S:
            raise _unauthorized("expired") from error
        mark_degraded(request, "session", "grace", self._edge)
        return token


def _unauthorized(detail: str) -> ServiceError:
    return ServiceError(401, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})
