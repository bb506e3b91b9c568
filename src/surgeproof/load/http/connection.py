"""One keep-alive connection: writes a request, feeds the answer to the parser, measures both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from math import inf, nan
from typing import Any, Protocol, cast

import httptools

from surgeproof.load.http.heads import Head, KnownHeads

__all__ = ["MARKED", "Connection", "Exchange"]

# Answers beyond these are refused: a runaway server must not fill the generator's memory.
MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
# Headers that ask for more work than handing an answer over; most answers have none of them.
MARKED = frozenset({b"content-encoding", b"degraded", b"retry-after", b"set-cookie"})
_NO_MARKS: frozenset[bytes] = frozenset()


class Exchange(Protocol):
    """Who sent the request that is under way; told once how it ended.

    The connection's public attributes describe the exchange while a call lasts, and no longer:
    afterwards the connection serves somebody else.
    """

    def answered(self, connection: Connection) -> None:
        """Take the whole answer."""
        ...

    def failed(self, connection: Connection | None, kind: str, detail: str) -> None:
        """There is no whole answer; ``kind`` is one of `TransportError.KINDS`."""
        ...


class Connection(asyncio.Protocol):
    """A protocol for one request at a time; belongs to one event loop.

    ``on_free`` is called after each exchange, whether or not the connection is still open;
    ``on_lost`` once, when it has ended. Times are CLOCK_MONOTONIC seconds. ``ticket`` is the
    exchange's own.
    """

    __slots__ = (
        "_can_keep_alive",
        "_has_answered",
        "_has_head",
        "_head_bytes",
        "_head_end",
        "_heads",
        "_is_complete",
        "_is_head",
        "_is_spent",
        "_is_too_large",
        "_monotonic",
        "_on_free",
        "_on_lost",
        "_parser",
        "_read_s",
        "_transport",
        "body_bytes",
        "body_parts",
        "deadline",
        "end",
        "exchange",
        "first_byte",
        "headers",
        "heard",
        "is_open",
        "is_writable",
        "marks",
        "received_bytes",
        "sent_bytes",
        "status",
        "ticket",
        "wake_writer",
        "was_reused",
    )
    _can_keep_alive: bool
    _has_head: bool
    _head_end: int
    _is_complete: bool
    _is_spent: bool
    _is_too_large: bool
    _read_s: float
    body_bytes: int
    body_parts: list[bytes]
    deadline: float
    end: float
    first_byte: float
    headers: list[tuple[bytes, bytes]]
    heard: float
    marks: frozenset[bytes]
    received_bytes: int
    sent_bytes: int
    status: int

    def __init__(
        self,
        on_free: Callable[[Connection], None],
        on_lost: Callable[[Connection], None],
        monotonic: Callable[[], float] = time.monotonic,
        heads: KnownHeads | None = None,
    ) -> None:
        self._heads = heads or KnownHeads()
        self._on_free, self._on_lost, self._monotonic = on_free, on_lost, monotonic
        self._transport: asyncio.WriteTransport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._has_answered = False
        self.is_open = False
        self.exchange: Exchange | None = None
        self.ticket: Any = None
        self.was_reused = False
        self.is_writable = True
        self.wake_writer: Callable[[], None] | None = None
        self._is_head = False
        self._begin(0, inf, inf, nan)
        self._begin_parsing()

    # -- for the pool and whoever sends -----------------------------------------------------------

    def send(  # noqa: PLR0917 - called for each request, and keywords cost time
        self,
        data: bytes,
        exchange: Exchange,
        now: float,
        deadline: float,
        read_s: float,
        is_head: bool,
    ) -> None:
        """Write a request. Its exchange hears the end of it, also if the connection is gone."""
        transport = self._transport
        self._begin(len(data), deadline, read_s, now)
        self.exchange = exchange
        self._is_head = is_head
        self.was_reused = self._has_answered
        if transport is None or not self.is_open:
            self.sent_bytes = 0
            self._fail("closed", "the connection had ended before")
            return
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        transport.write(data)

    def send_more(self, data: bytes) -> None:
        """Write a further part of the request that is under way."""
        if self._transport is not None and self.exchange is not None:
            self.sent_bytes += len(data)
            # A request that is still being written is not silence of the server's.
            self.heard = self._monotonic()
            self._transport.write(data)

    def expire_if_due(self, now: float) -> None:
        """Fail the request that is under way if one of its limits is over."""
        if self.exchange is None:
            return
        if now >= self.deadline:
            self._fail("timeout", "no complete answer in time")
        elif now - self.heard >= self._read_s:
            self._fail("read_timeout", f"silence for {self._read_s:g}s")

    def cut_off(self) -> None:
        """Fail the request that is under way, for the run ends."""
        if self.exchange is not None:
            self._fail("unfinished", "the run ended first")

    def close(self) -> None:
        """End the connection at once; a request that waits fails as ``closed``."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    @property
    def body(self) -> bytes:
        parts = self.body_parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def can_keep_alive(self) -> bool:
        return self._can_keep_alive

    # -- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are classes of its own, so there is no type to test for.
        self._transport = cast("asyncio.WriteTransport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if self.exchange is None or parser is None:
            # Nobody asked for anything: whatever this is, the next answer could be mistaken.
            self.close()
            return
        self.heard = now = self._monotonic()
        if not self.received_bytes:
            self.first_byte = now
            if self._is_head or not self._heads.is_worthwhile:
                self._begin_parsing()
            elif self._knows(data):
                self._finish(now)
                return
        self._parse(parser, data, now)

    def _parse(self, parser: httptools.HttpResponseParser, data: bytes, now: float) -> None:
        self.received_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("protocol", "the server switched protocols")
            return
        except httptools.HttpParserError as error:
            if not self._is_complete:
                kind = "too_large" if self._is_too_large else "protocol"
                self._fail(kind, str(error))
                return
            # Bytes after a complete answer: the answer stands, the connection does not.
            self._can_keep_alive = False
        if self._is_complete:
            if self._head_end > 0:
                self._learn(data)
            self._finish(now)
        elif not self._has_head and self.received_bytes > MAX_HEAD_BYTES:
            self._fail("protocol", f"headers exceed {MAX_HEAD_BYTES} bytes")

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True
        wake, self.wake_writer = self.wake_writer, None
        if wake is not None:
            wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self.exchange is not None:
            if exc is None and self._has_head and self._ends_with_connection():
                self._can_keep_alive = False
                self._finish(self._monotonic())
            else:
                kind = "reset" if isinstance(exc, ConnectionError) else "closed"
                self._fail(kind, str(exc or "before the answer was whole"))
        # The parser refers back to this object; without this only the collector would free both.
        self._parser = None
        self._transport = None
        self._on_lost(self)

    # -- httptools --------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise ValueError("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        self.headers.append((lower, value))
        if self._has_head:
            # Trailers come after the head, whose size is looked at as it comes.
            self._head_bytes += len(name) + len(value)
            if self._head_bytes > MAX_HEAD_BYTES:
                raise ValueError(f"trailers exceed {MAX_HEAD_BYTES} bytes")
        if lower in MARKED:
            self.marks = self.marks | {lower}

    def on_headers_complete(self) -> None:
        if self._parser is None:
            return
        status = self._parser.get_status_code()
        if status < 200:
            # 100 Continue and 103 Early Hints come before the answer, and are none.
            self.headers, self.marks = [], _NO_MARKS
            return
        self.status = status
        self._has_head = True
        if self._is_head:
            self._complete()
            # Whatever the length says, no body follows, and the parser would wait for it.
            self._is_spent = True

    def on_body(self, data: bytes) -> None:
        self.body_bytes += len(data)
        if self.body_bytes > MAX_BODY_BYTES:
            self._is_too_large = True
            raise ValueError(f"the body exceeds {MAX_BODY_BYTES} bytes")
        self.body_parts.append(data)

    def on_message_complete(self) -> None:
        if self._has_head and not self._is_complete:
            self._complete()

    # -- inside -----------------------------------------------------------------------------------

    def _begin(self, sent_bytes: int, deadline: float, read_s: float, now: float) -> None:
        self.sent_bytes, self.received_bytes = sent_bytes, 0
        self.first_byte = self.end = nan
        self.deadline, self._read_s, self.heard = deadline, read_s, now
        self.status = 0
        self._has_head = self._can_keep_alive = False

    def _begin_parsing(self) -> None:
        """Forget the answer before; one whose head is known needs nothing of it."""
        self.headers = []
        self.marks = _NO_MARKS
        self.body_parts = []
        self.body_bytes = self._head_bytes = self._head_end = 0
        self._is_complete = self._is_too_large = self._is_spent = False

    def _knows(self, data: bytes) -> bool:
        """Take a whole answer whose head was read before; False if this is none."""
        end = data.find(b"\r\n\r\n")
        known = self._heads.find(data[:end]) if end > 0 else None
        if known is None or len(data) != end + 4 + known.length:
            self._begin_parsing()
            self._head_end = end
            return False
        self.received_bytes = len(data)
        self.status, self.headers, self.marks = known.status, known.headers, known.marks
        self.body_parts = [data[end + 4 :]]
        self._has_head = self._can_keep_alive = True
        return True

    def _learn(self, data: bytes) -> None:
        """Keep the head of an answer that came whole, in one piece and with its length."""
        end = self._head_end
        is_plain = self._can_keep_alive and len(data) == self.received_bytes
        if not is_plain or len(data) != end + 4 + self.body_bytes:
            return
        names = [name for name, _ in self.headers]
        if b"content-length" in names and b"transfer-encoding" not in names:
            said = Head(self.status, self.headers, self.marks, self.body_bytes)
            self._heads.learn(data[:end], said)

    def _complete(self) -> None:
        self._is_complete = True
        self._can_keep_alive = self._parser is not None and self._parser.should_keep_alive()

    def _ends_with_connection(self) -> bool:
        """Return whether nothing but the connection's end says where the body ends."""
        return not any(
            name in {b"content-length", b"transfer-encoding"} for name, _ in self.headers
        )

    def _finish(self, now: float) -> None:
        exchange, self.exchange = self.exchange, None
        self.end = now
        self._has_answered = True
        if self._is_spent:
            self._parser, self._is_spent = None, False
        if not self._can_keep_alive:
            self.is_open = False
        if exchange is not None:
            exchange.answered(self)
        if not self.is_open:
            self.close()
        self._on_free(self)

    def _fail(self, kind: str, detail: str) -> None:
        exchange, self.exchange = self.exchange, None
        self.end = self._monotonic()
        self.close()
        if exchange is not None:
            exchange.failed(self, kind, detail)
            self._on_free(self)
