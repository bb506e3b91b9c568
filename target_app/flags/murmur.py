"""MurmurHash3 (x86, 32 bits): the hash by which flagd deals users out.

By Austin Appleby, in the public domain.
"""

from __future__ import annotations

__all__ = ["murmur3"]

_MASK = 0xFFFFFFFF
_C1, _C2 = 0xCC9E2D51, 0x1B873593


def murmur3(data: bytes, seed: int = 0) -> int:
    """Return the hash as a number below 2**32."""
    hashed = seed
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        hashed ^= _mix(int.from_bytes(data[start : start + 4], "little"))
        hashed = (_rotate(hashed, 13) * 5 + 0xE6546B64) & _MASK
    if whole < len(data):
        hashed ^= _mix(int.from_bytes(data[whole:], "little"))
    hashed ^= len(data)
    hashed = ((hashed ^ hashed >> 16) * 0x85EBCA6B) & _MASK
    hashed = ((hashed ^ hashed >> 13) * 0xC2B2AE35) & _MASK
    return hashed ^ hashed >> 16


def _mix(word: int) -> int:
    return (_rotate((word * _C1) & _MASK, 15) * _C2) & _MASK


def _rotate(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (32 - bits))) & _MASK
