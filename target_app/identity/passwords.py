"""Password hashes by scrypt (RFC 7914)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

__all__ = ["PasswordHash", "hash_password"]

# RFC 7914 recommends r = 8 and p = 1; only the cost N is ours to choose.
_BLOCK_SIZE = 8
_PARALLELISM = 1


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """A salted hash; ``log2_n`` is the cost N as a power of two (memory: 1 KiB times N)."""

    salt: bytes
    digest: bytes
    log2_n: int

    def matches(self, password: str) -> bool:
        """Return whether this is the hash of ``password``; takes as long as hashing."""
        other = hash_password(password, salt=self.salt, log2_n=self.log2_n)
        return hmac.compare_digest(other.digest, self.digest)


def hash_password(password: str, *, salt: bytes, log2_n: int) -> PasswordHash:
    """Hash a password: about 2 ms at ``log2_n`` 10, doubling with each step."""
    cost = 2**log2_n
    digest = hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=cost,
        r=_BLOCK_SIZE,
        p=_PARALLELISM,
        maxmem=256 * _BLOCK_SIZE * cost + 1024 * 1024,
        dklen=32,
    )
    return PasswordHash(salt, digest, log2_n)
