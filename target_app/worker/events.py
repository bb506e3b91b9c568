"""The events of the outbox, as they travel in the stream."""

from __future__ import annotations

from typing import TypeVar

import msgspec

__all__ = [
    "Event",
    "LikeAdded",
    "Pair",
    "PostCreated",
    "PostDeleted",
    "decode_body",
    "decode_event",
    "subject_of",
]

T = TypeVar("T")

SUBJECT_PREFIX = "events."


class Event(msgspec.Struct, frozen=True):
    """One event: ``kind`` as in schema.sql, ``at`` when it was written (seconds since the epoch).

    ``body`` is the JSON object that the writer told, undecoded.
    """

    event_id: int
    kind: str
    at: float
    body: msgspec.Raw


class PostCreated(msgspec.Struct, frozen=True):
    """The body of ``post.created``."""

    post_id: int
    author_id: int
    text: str
    reply_to: int | None = None


class PostDeleted(msgspec.Struct, frozen=True):
    """The body of ``post.deleted``."""

    post_id: int


class Pair(msgspec.Struct, frozen=True):
    """The body of ``follow.*`` and ``block.*``: who, and towards whom."""

    from_id: int = msgspec.field(name="from")
    to_id: int = msgspec.field(name="to")


class LikeAdded(msgspec.Struct, frozen=True):
    """The body of ``like.added``: who likes a post of whom."""

    from_id: int = msgspec.field(name="from")
    author_id: int


_DECODER = msgspec.json.Decoder(Event)


def subject_of(event: Event) -> str:
    """Return the stream subject of an event."""
    return SUBJECT_PREFIX + event.kind


def decode_event(data: bytes) -> Event:
    """Return the event of a message; raise ``msgspec.DecodeError`` if it is none."""
    return _DECODER.decode(data)


def decode_body(event: Event, type_: type[T]) -> T:
    """Return the body of an event; raise ``msgspec.DecodeError`` if it is not of ``type_``."""
    return msgspec.json.decode(event.body, type=type_)
