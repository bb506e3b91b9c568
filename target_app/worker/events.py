"""The events of the outbox, as they travel in the stream."""

from __future__ import annotations

from typing import TypeVar

import msgspec

__all__ = [
    "AccountChanged",
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
    """One event: ``kind`` as in schema/10_events.sql, ``at`` in seconds since the epoch.

    ``body`` is the JSON object that the writer told when it was written, undecoded.
    """

    event_id: int
    kind: str
    at: float
    body: msgspec.Raw


class PostCreated(msgspec.Struct, frozen=True):
    """The body of ``post.created`` and ``post.reviewed``; ``state`` as in the database."""

    post_id: int
    author_id: int
    text: str
    reply_to: int | None = None
    parent_author_id: int | None = None
    state: int = 1

    @property
    def is_visible(self) -> bool:
        """Whether others may see it: it does not wait for review, nor was it taken away."""
        return self.state == 1

    @property
    def is_gone(self) -> bool:
        """Whether a review took it away."""
        return self.state == 3


class PostDeleted(msgspec.Struct, frozen=True):
    """The body of ``post.deleted``."""

    post_id: int


class Pair(msgspec.Struct, frozen=True):
    """The body of ``follow.*``, ``block.*`` and ``mute.*``: who, towards whom, and in which app."""

    from_id: int = msgspec.field(name="from")
    to_id: int = msgspec.field(name="to")
    app: int = 2


class LikeAdded(msgspec.Struct, frozen=True):
    """The body of ``like.added``: who likes what of whom, and in which app."""

    from_id: int = msgspec.field(name="from")
    author_id: int
    to_id: int = msgspec.field(name="to", default=0)
    app: int = 2


class AccountChanged(msgspec.Struct, frozen=True):
    """The body of ``account.*``."""

    user_id: int
    handle: str
    old_handle: str = ""
    import_follows: bool = False


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
