"""One attempt at a request: what was measured, what came back, or why nothing did."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(slots=True)
class RawResponse:
    """A complete answer; header names are in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    can_keep_alive: bool


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
        "timeout",  # sent, and no complete answer in time: what happened is unknown
        "reset",
        "closed",  # the other side ended the connection before the answer was whole
        "protocol",  # the answer is no HTTP/1.1
        "too_large",
        "unfinished",  # the run ended first
    )

    def __init__(self, kind: str, detail: str = "") -> None:
        self.kind = kind
        super().__init__(f"{kind}: {detail}" if detail else kind)
