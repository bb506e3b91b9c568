"""Signed tokens that any service can verify without asking anybody.

A token is ``v1.<key id>.<payload>.<signature>``: payload and signature are base64url without
padding, the payload is a JSON object, the signature HMAC-SHA256 over all that precedes it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

__all__ = [
    "GRACE_S",
    "LIFETIME_S",
    "KeyRing",
    "Token",
    "TokenError",
    "derived_key",
    "sign",
    "verify",
]

LIFETIME_S = 15 * 60.0
# While identity is lost nobody can get a new token: an old one is good for this much longer.
GRACE_S = 15 * 60.0


class TokenError(ValueError):
    """The token is not one of ours (``reason`` malformed, unknown_key, forged) or has expired.

    For ``expired``, ``token`` holds what it said, so that a caller can grant a grace period.
    """

    def __init__(self, reason: str, token: Token | None = None) -> None:
        self.reason = reason
        self.token = token
        super().__init__(f"token refused: {reason}")


class Token(msgspec.Struct, frozen=True):
    """What a token says; times in seconds since 1970 UTC, ``apps`` 1 photos, 2 threads, 3 both."""

    user_id: int
    handle: str
    issued_at: float
    expires_at: float
    apps: int = 3


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The secrets by key id, and which of them signs."""

    current: str
    keys: Mapping[str, bytes]

    @classmethod
    def derived(cls, seed: int) -> KeyRing:
        """Return a ring of the first key that is made of a seed."""
        return cls("k1", {"k1": derived_key(seed, 1)})


def derived_key(seed: int, number: int) -> bytes:
    """Return a secret made of a seed, so that tokens outlive a restart of the process.

    Fit for rehearsals only: whoever knows the seed can sign.
    """
    return hashlib.sha256(f"threads token key k{number} of seed {seed}".encode()).digest()


def sign(token: Token, ring: KeyRing) -> str:
    """Return the text of a token, signed by the ring's current key."""
    head = f"v1.{ring.current}.{_encode(msgspec.json.encode(token))}"
    return f"{head}.{_encode(_signature(head, ring.keys[ring.current]))}"


def verify(text: str, ring: KeyRing, *, now_s: float) -> Token:
    """Return what the token says; raise :class:`TokenError` if it is forged, broken or expired."""
    parts = text.split(".")
    if not text.isascii() or len(parts) != 4 or parts[0] != "v1":
        raise TokenError("malformed")
    key = ring.keys.get(parts[1])
    if key is None:
        raise TokenError("unknown_key")
    head = text.rpartition(".")[0]
    try:
        # Text that is not ASCII fails as ValueError, with or without a subclass.
        genuine = hmac.compare_digest(_signature(head, key), _decode(parts[3]))
        token = msgspec.json.decode(_decode(parts[2]), type=Token) if genuine else None
    except (ValueError, msgspec.DecodeError) as error:
        raise TokenError("malformed") from error
    if token is None:
        raise TokenError("forged")
    if now_s >= token.expires_at:
        raise TokenError("expired", token)
    return token


def _signature(head: str, key: bytes) -> bytes:
    return hmac.digest(key, head.encode("ascii"), "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
