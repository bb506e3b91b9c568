"""The feed's cursor: where the last page ended, and what was ranked but not shown yet.

A ranked feed takes a window of two pages in time order, ranks it and shows the better half. The
other half travels in the cursor, so that the next page neither repeats nor skips a post although
likes have changed the ranking in between. So do the popular posts that end a short feed.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import msgspec

__all__ = ["MAX_REST", "Cursor", "CursorError", "decode", "encode"]

# Two pages of the largest size that a request may ask for.
MAX_REST = 100

_VERSION = 2
# Post ids have 53 bits.
_MOST_ID = 2**53
_Wire = tuple[int, int, list[int], list[int]]


class CursorError(ValueError):
    """The text is no cursor that this service gave out."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The state of one walk through a feed.

    ``position`` is the oldest post id of the windows taken so far, None before the first window;
    ``rest`` holds post ids of the last window in ranked order, still to be shown; ``suggested``
    holds popular posts to be shown when there is nothing else left.
    """

    position: int | None
    rest: tuple[int, ...] = ()
    suggested: tuple[int, ...] = ()


def encode(cursor: Cursor) -> str:
    """Return the cursor as URL-safe text without padding."""
    wire: _Wire = (_VERSION, cursor.position or 0, list(cursor.rest), list(cursor.suggested))
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(wire)).rstrip(b"=").decode("ascii")


def decode(text: str) -> Cursor:
    """Return the cursor that :func:`encode` made; raise CursorError for anything else."""
    try:
        raw = base64.b64decode(
            text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
        version, position, rest, suggested = msgspec.msgpack.decode(raw, type=_Wire)
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError) as error:
        raise CursorError(f"not a cursor: {text[:80]!r} (accepted: a next_cursor)") from error
    carried = [*rest, *suggested]
    if (
        version != _VERSION
        or max(len(rest), len(suggested)) > MAX_REST
        or not all(0 <= each < _MOST_ID for each in (position, *carried))
    ):
        raise CursorError(f"not a cursor of this version: {text[:80]!r}")
    return Cursor(position or None, tuple(rest), tuple(suggested))
