"""One keep-alive connection on a gevent socket: writes a request, reads and parses the answer."""

from __future__ import annotations

import errno
import select
import time
from collections.abc import Callable
from typing import Any

import httptools
from gevent.monkey import get_original

from surgeproof.load.http.attempt import RawResponse, TransportError

__all__ = ["Channel", "Exchange"]

_CHUNK_BYTES = 65536
# The bounds of the engine's own client: a runaway server must not fill the generator's memory.
_MAX_HEAD_BYTES = 64 * 1024
_MAX_BODY_BYTES = 64 * 1024 * 1024


class Exchange:
    """What is known so far of one request: moments on CLOCK_MONOTONIC, and bytes on the wire."""

    __slots__ = ("first_byte", "raw", "received_bytes", "sent_bytes", "start")

    def __init__(self) -> None:
        self.start: float | None = None
        self.first_byte: float | None = None
        self.raw: RawResponse | None = None
        self.sent_bytes = 0
        self.received_bytes = 0


class Channel:
    """A connection for one request at a time.

    While `exchange` waits, ``ends_at`` and ``heard_at`` tell a `Channels` when its patience is
    over; it then calls `expire`, and the wait ends with that kind of error.
    """

    def __init__(self, socket: Any, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._socket = socket
        self._monotonic = monotonic
        self._parser = httptools.HttpResponseParser(self)
        self._expired = ""
        self.has_answered = False
        self.idle_since = 0.0
        self.ends_at = 0.0
        self.heard_at = 0.0
        self.read_s = 0.0

    def exchange(self, data: bytes, exchange: Exchange, *, is_head: bool) -> RawResponse:
        """Send a request and return its whole answer.

        Raises:
            TransportError: there is no complete answer; the connection is of no use any more.
        """
        self._begin_message()
        self._is_head = is_head
        self._received = 0
        try:
            sent = self._socket.send(data)
            if sent < len(data):
                self._socket.sendall(memoryview(data)[sent:])
            exchange.sent_bytes += len(data)
            return self._receive(exchange)
        except OSError as error:
            raise self._failure(error) from error

    def expire(self, kind: str) -> None:
        """End the exchange under way as a timeout of a kind. May be called by any greenlet."""
        self._expired = kind
        self._socket.close()

    def is_usable(self) -> bool:
        """Return whether an idle connection is open still, and nothing unasked has come in."""
        # gevent's own `select` would let others run, and this must be over at once.
        poll = get_original("select", "poll")()
        poll.register(self._socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

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
        self._status = self._parser.get_status_code()
        if self._status < 200:
            return
        self._has_head = True
        if self._is_head:
            self._complete()

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > _MAX_BODY_BYTES:
            self._is_too_large = True
            raise ValueError(f"the body exceeds {_MAX_BODY_BYTES} bytes")
        self._body.append(data)

    def on_message_complete(self) -> None:
        # 100 Continue and 103 Early Hints come before the answer, and are none.
        if self._has_head and not self._is_complete:
            self._complete()

    # -- inside ---------------------------------------------------------------------------------

    def _receive(self, exchange: Exchange) -> RawResponse:
        receive, feed = self._socket.recv, self._parser.feed_data
        while True:
            data = receive(_CHUNK_BYTES)
            self.heard_at = self._monotonic()
            if not data:
                return self._end_of_stream()
            if exchange.first_byte is None:
                exchange.first_byte = self.heard_at
            exchange.received_bytes += len(data)
            try:
                feed(data)
            except httptools.HttpParserUpgrade as error:
                raise TransportError("protocol", "the server switched protocols") from error
            except httptools.HttpParserError as error:
                if not self._is_complete:
                    kind = "too_large" if self._is_too_large else "protocol"
                    raise TransportError(kind, str(error)) from error
                # Bytes after a complete answer: the answer stands, the connection does not.
                self._can_keep_alive = False
            if self._is_complete:
                return self._answer()
            if not self._has_head and exchange.received_bytes > _MAX_HEAD_BYTES:
                raise TransportError("protocol", f"headers exceed {_MAX_HEAD_BYTES} bytes")

    def _end_of_stream(self) -> RawResponse:
        if self._has_head and self._ends_with_connection and not self._expired:
            self._can_keep_alive = False
            return self._answer()
        raise TransportError(self._expired or "closed", "before the answer was whole")

    def _answer(self) -> RawResponse:
        self.has_answered = True
        if self._is_head:
            # Whatever the length says, no body follows, and the old parser would wait for it.
            self._parser = httptools.HttpResponseParser(self)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return RawResponse(self._status, self._headers, body, can_keep_alive=self._can_keep_alive)

    def _failure(self, error: OSError) -> TransportError:
        if self._expired:
            return TransportError(self._expired, "no complete answer in time")
        if error.errno in {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED}:
            return TransportError("reset", str(error))
        return TransportError("closed", str(error))

    def _complete(self) -> None:
        self._is_complete = True
        self._can_keep_alive = bool(self._parser.should_keep_alive())

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
