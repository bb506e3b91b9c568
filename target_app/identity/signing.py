"""Which keys sign and verify now, and which tokens are void before they expire.

A new key is announced first and signs only when every verifier has fetched it; an old one verifies
for as long as a token that it signed may be accepted. What decides this is in the database, so
that replicas and a restarted process agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from target_app.clock import Clock
from target_app.edge.errors import EdgeError
from target_app.edge.postgres import PostgresEdge
from target_app.identity import statements
from target_app.identity.tokens import GRACE_S, LIFETIME_S, KeyRing, derived_key

__all__ = ["ANNOUNCED_S", "AnnouncedKey", "SigningKeys", "ring_of"]

# Verifiers fetch the keys every five seconds.
ANNOUNCED_S = 12.0
_REFRESH_S = 2.0
_FIRST_S = 0.1


@dataclass(frozen=True, slots=True)
class AnnouncedKey:
    """The key number ``number``, announced at ``announced_s`` seconds since 1970 UTC."""

    number: int
    announced_s: float


def ring_of(seed: int, keys: Sequence[AnnouncedKey], *, now_s: float) -> KeyRing:
    """Return the ring of this moment; ``keys`` in the order of their numbers."""
    signing = keys[0]
    kept: list[AnnouncedKey] = []
    for key in keys:
        signs_from_s = key.announced_s + ANNOUNCED_S
        if signs_from_s <= now_s:
            signing = key
            # What came before signed its last token at that moment.
            if now_s >= signs_from_s + LIFETIME_S + GRACE_S:
                kept = []
        kept.append(key)
    secrets = {f"k{key.number}": derived_key(seed, key.number) for key in kept}
    return KeyRing(f"k{signing.number}", secrets)


class SigningKeys:
    """The state of keys and of lately deleted accounts, read from the database now and then."""

    def __init__(
        self, postgres: PostgresEdge, clock: Clock, seed: int, note: Callable[[Exception], None]
    ) -> None:
        self._postgres = postgres
        self._clock = clock
        self._seed = seed
        self._note = note
        self._keys: list[AnnouncedKey] = []
        self._revoked: frozenset[int] = frozenset()

    @property
    def ring(self) -> KeyRing | None:
        """The keys of this moment, None until they have been read once."""
        if not self._keys:
            return None
        return ring_of(self._seed, self._keys, now_s=self._clock.wall())

    @property
    def revoked(self) -> frozenset[int]:
        """The users whose tokens are void: their accounts were deleted."""
        return self._revoked

    def revoke(self, user_id: int) -> None:
        """Void a user's tokens at once; the database says so to the other replicas."""
        self._revoked |= {user_id}

    async def refresh(self) -> None:
        """Read keys and revoked users."""
        keys = await self._postgres.fetch(statements.KEYS)
        revoked = await self._postgres.fetch(statements.REVOKED, LIFETIME_S + GRACE_S)
        self._keys = [AnnouncedKey(row["number"], row["announced_s"]) for row in keys]
        self._revoked = frozenset(row["user_id"] for row in revoked)

    async def rotate(self) -> AnnouncedKey:
        """Announce the next key and return it."""
        await self.refresh()
        await self._postgres.execute(statements.ANNOUNCE_KEY, self._keys[-1].number + 1)
        await self.refresh()
        return self._keys[-1]

    async def keep_fresh(self) -> None:
        """Refresh for ever; while the database is lost, what was read last holds."""
        while True:
            try:
                await self.refresh()
            except EdgeError as error:
                self._note(error)
            await asyncio.sleep(_REFRESH_S if self._keys else _FIRST_S)
