"""One attempt at a request: what was measured, what came back, or why nothing did."""

from __future__ import annotations

from math import nan
from typing import ClassVar

__all__ = ["Attempt", "RawResponse", "TransportError"]


class Attempt:
    """What is known so far of one attempt, filled in while it runs.

    Times are CLOCK_MONOTONIC seconds, NaN for never. ``start`` is when the client had a place in
    its pool and turned to the network (dialling counts as service); waiting for that place is the
    client's own queueing.
    """

    __slots__ = ("end", "first_byte", "received_bytes", "sent_bytes", "start", "was_reused")

    def __init__(self) -> None:
        self.start = nan
        self.first_byte = nan
        self.end = nan
        self.sent_bytes = 0
        self.received_bytes = 0
        self.was_reused = False


class RawResponse:
    """A complete answer; header names are in lower case, ``marks`` those that ask for more work.

    ``marks`` holds the names among `surgeproof.load.http.connection.MARKED` that were seen, so
    that nobody has to search the headers of an answer for what is not there.
    """

    __slots__ = ("body", "can_keep_alive", "headers", "marks", "status")

    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        can_keep_alive: bool,
        marks: frozenset[bytes] | set[bytes] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.can_keep_alive = can_keep_alive
        self.marks = frozenset(name for name, _ in headers) if marks is None else marks


class TransportError(Exception):
    """An attempt ended without a complete answer; never leaves the load engine.

    ``kind`` is the sample's error_kind, one of `KINDS`.
    """

    KINDS: ClassVar[tuple[str, ...]] = (
        "queue_timeout",  # no place in the pool before the deadline: never sent
        "connect_timeout",
        "refused",
        "unreachable",
        "dns",
        "tls",
        "descriptors",  # this process has no file descriptor left
        "ports",  # this machine has no local port left
        "read_timeout",  # sent, and silence for too long: what happened is unknown
        "timeout",  # sent, and no complete answer in time: what happened is unknown
        "reset",
        "closed",  # the other side ended the connection before the answer was whole
        "protocol",  # the answer is no HTTP/1.1
        "too_large",
        "redirects",  # a redirect led in a circle, or to too many places
        "redirect_refused",  # a redirect led away from the target
        "body",  # the request's own streamed body could not be made
        "unfinished",  # the run ended first
    )

    def __init__(self, kind: str, detail: str = "") -> None:
        self.kind = kind
        super().__init__(f"{kind}: {detail}" if detail else kind)
