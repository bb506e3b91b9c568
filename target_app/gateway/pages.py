"""Entity tags for pages: a client that polls gets 304 while nothing has changed."""

from __future__ import annotations

import hashlib

__all__ = ["entity_tag", "is_named_by"]


def entity_tag(body: bytes) -> str:
    """Return the weak entity tag of a body (RFC 9110, 8.8.3)."""
    return f'W/"{hashlib.blake2b(body, digest_size=8).hexdigest()}"'


def is_named_by(tag: str, if_none_match: str | None) -> bool:
    """Return whether the header names the tag; ``*`` names any (RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    named = {candidate.strip() for candidate in if_none_match.split(",")}
    # The comparison is weak: whether a candidate says W/ does not matter.
    return "*" in named or tag in named or tag.removeprefix("W/") in named
