"""The keys that verify tokens: fetched now and then, and kept when identity is lost."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable

import msgspec

from target_app.clock import Clock
from target_app.edge import EdgeError, HttpEdge
from target_app.identity.tokens import KeyRing

__all__ = ["KeyKeeper"]

# Less than half of the time for which a new key is announced before it signs.
_REFRESH_S = 5.0
# While there are none yet, no request can be served.
_FIRST_S = 0.25
# A token signed by an unknown key, or expired, asks again: at most this often for all requests.
_ASK_AGAIN_S = 1.0


class _KeysBody(msgspec.Struct):
    current: str
    keys: dict[str, str]
    revoked: list[int] = []


class KeyKeeper:
    """Holds the last good keys, and knows whether identity could be reached of late."""

    def __init__(self, edge: HttpEdge, clock: Clock, note: Callable[[Exception], None]) -> None:
        self._edge = edge
        self._clock = clock
        self._note = note
        self._ring: KeyRing | None = None
        self._revoked: frozenset[int] = frozenset()
        self._asked_at: float | None = None
        self._is_identity_lost = False

    @property
    def ring(self) -> KeyRing | None:
        """The keys, None until they have been fetched once."""
        return self._ring

    @property
    def revoked(self) -> frozenset[int]:
        """The users whose tokens are void: their accounts were deleted."""
        return self._revoked

    async def refresh(self) -> None:
        """Fetch the keys; on failure the old ones stay."""
        self._asked_at = self._clock.monotonic()
        try:
            body = (await self._edge.request("GET", "/internal/keys")).json(_KeysBody)
            keys = {name: base64.b64decode(key) for name, key in body.keys.items()}
        except (EdgeError, msgspec.DecodeError, binascii.Error) as error:
            self._note(error)
            self._is_identity_lost = True
            return
        self._is_identity_lost = False
        self._ring = KeyRing(body.current, keys)
        self._revoked = frozenset(body.revoked)

    async def is_identity_lost(self) -> bool:
        """Ask identity, unless that was done within the last second, and return whether it fails.

        The keys are fresh after it if identity answers.
        """
        asked_at = self._asked_at
        if asked_at is None or self._clock.monotonic() - asked_at >= _ASK_AGAIN_S:
            await self.refresh()
        return self._is_identity_lost

    async def keep_fresh(self) -> None:
        """Refresh for ever."""
        while True:
            await self.refresh()
            await asyncio.sleep(_FIRST_S if self._ring is None else _REFRESH_S)
