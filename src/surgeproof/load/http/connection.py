"""One keep-alive connection: writes a request, feeds the answer to the parser, measures both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

import httptools

from surgeproof.load.http.attempt import Attempt, RawResponse, TransportError

__all__ = ["Connection"]

# Answers beyond these are refused: a runaway server must not fill the generator's memory.
MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024


class Connection(asyncio.Protocol):
    """A protocol for one request at a time; belongs to one event loop.

    ``on_lost`` is called once when the connection has ended, for whatever reason.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_lost: Callable[[Connection], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._on_lost = on_lost
        self._monotonic = monotonic
        self._transport: asyncio.WriteTransport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[RawResponse] | None = None
        self._attempt = Attempt()
        self._is_head = False
        self.is_open = False
        self.has_answered = False
        self._begin_message()

    # -- for the pool and the transport ---------------------------------------------------------

    def send(
        self, data: bytes, *, is_head: bool, attempt: Attempt, timeout_s: float
    ) -> asyncio.Future[RawResponse]:
        """Write a request; the future holds the answer or a `TransportError`.

        ``timeout_s`` ends the wait for the whole answer; the connection is then closed.
        """
        waiter: asyncio.Future[RawResponse] = self._loop.create_future()
        if self._transport is None or not self.is_open:
            waiter.set_exception(TransportError("closed", "the connection had ended before"))
            return waiter
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self._waiter, self._attempt, self._is_head = waiter, attempt, is_head
        self._begin_message()
        alarm = self._loop.call_later(timeout_s, self._expire)
        waiter.add_done_callback(lambda _: alarm.cancel())
        attempt.was_reused = self.has_answered
        attempt.sent_bytes += len(data)
        self._transport.write(data)
        return waiter

    def close(self) -> None:
        """End the connection at once; a request that waits fails as ``closed``."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are classes of its own, so there is no type to test for.
        self._transport = cast("asyncio.WriteTransport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        attempt = self._attempt
        if self._waiter is None or self._parser is None:
            # Nobody asked for anything: whatever this is, the next answer could be mistaken.
            self.close()
            return
        now = self._monotonic()
        if attempt.received_bytes == 0:
            attempt.first_byte = now
        attempt.received_bytes += len(data)
        try:
            self._parser.feed_data(data)
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
            self._finish(now)
        elif not self._has_head and attempt.received_bytes > MAX_HEAD_BYTES:
            self._fail("protocol", f"headers exceed {MAX_HEAD_BYTES} bytes")

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._waiter is not None:
            if exc is None and self._has_head and self._ends_with_connection:
                self._can_keep_alive = False
                self._finish(self._monotonic())
            else:
                kind = "reset" if isinstance(exc, ConnectionError) else "closed"
                self._fail(kind, str(exc or "before the answer was whole"))
        # The parser refers back to this object; without this only the collector would free both.
        self._parser = None
        self._transport = None
        self._on_lost(self)

    # -- httptools ------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise ValueError("a second answer to one request")
        self._begin_message()

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower in {b"content-length", b"transfer-encoding"}:
            self._ends_with_connection = False
        self._headers.append((lower, value))

    def on_headers_complete(self) -> None:
        if self._parser is None:
            return
        self._status = self._parser.get_status_code()
        if 100 <= self._status < 200:
            return
        self._has_head = True
        if self._is_head:
            self._complete()
            # Whatever the length says, no body follows, and the parser would wait for it.
            self._parser_is_spent = True

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > MAX_BODY_BYTES:
            self._is_too_large = True
            raise ValueError(f"the body exceeds {MAX_BODY_BYTES} bytes")
        self._body.append(data)

    def on_message_complete(self) -> None:
        # 100 Continue and 103 Early Hints come before the answer, and are none.
        if self._has_head and not self._is_complete:
            self._complete()

    # -- inside ---------------------------------------------------------------------------------

    def _begin_message(self) -> None:
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._has_head = False
        self._is_complete = False
        self._is_too_large = False
        self._ends_with_connection = True
        self._can_keep_alive = False
        self._parser_is_spent = False

    def _complete(self) -> None:
        self._is_complete = True
        self._can_keep_alive = self._parser is not None and self._parser.should_keep_alive()

    def _finish(self, now: float) -> None:
        waiter, self._waiter = self._waiter, None
        self._attempt.end = now
        self.has_answered = True
        if self._parser_is_spent:
            self._parser = None
        if not self._can_keep_alive:
            self.is_open = False
        if waiter is not None and not waiter.done():
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            waiter.set_result(RawResponse(self._status, self._headers, body, self._can_keep_alive))

    def _expire(self) -> None:
        self._fail("timeout", "no complete answer in time")

    def _fail(self, kind: str, detail: str) -> None:
        waiter, self._waiter = self._waiter, None
        self._attempt.end = self._monotonic()
        if waiter is not None and not waiter.done():
            waiter.set_exception(TransportError(kind, detail))
        self.close()
