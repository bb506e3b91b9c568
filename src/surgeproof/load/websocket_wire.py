"""One WebSocket connection at the socket: handshake, messages, pings and the close, each timed.

The framing is the sans-I/O protocol of `websockets`; this module gives it a socket, puts
fragments together, and notes when each message was there.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import TypeAlias, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.http11 import Response as HandshakeResponse
from websockets.protocol import SEND_EOF, Event, State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from surgeproof.load.http.attempt import Attempt, RawResponse, TransportError
from surgeproof.load.http.origin import Origin

__all__ = ["MAX_MESSAGE_BYTES", "Arrived", "Message", "WebSocketWire"]

Message: TypeAlias = str | bytes

MAX_MESSAGE_BYTES = 1024 * 1024
# What may lie here unread, in messages of the largest size; beyond it the socket is not read.
_MAX_UNREAD = 4
_NORMAL_CLOSE = 1000
_DATA_OPCODES = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


@dataclass(frozen=True, slots=True)
class Arrived:
    """A whole message; its times (CLOCK_MONOTONIC) are those of its first and last bytes."""

    message: Message
    first_byte: float
    end: float
    received_bytes: int


class WebSocketWire(asyncio.Protocol):
    """A protocol for one WebSocket; belongs to one event loop, and to one reader at a time."""

    def __init__(
        self,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        *,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        subprotocols: tuple[str, ...] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop, self._monotonic = loop, monotonic
        uri = WebSocketURI(origin.is_tls, origin.host, origin.port, "/", "")
        offered = [Subprotocol(each) for each in subprotocols] or None
        self._protocol = ClientProtocol(uri, subprotocols=offered, max_size=max_message_bytes)
        self._transport: asyncio.Transport | None = None
        self._max_unread_bytes = max_message_bytes * _MAX_UNREAD
        self._unread: deque[Arrived] = deque()
        self._unread_bytes = 0
        self._fragments: list[bytes] = []
        self._is_text = False
        self._first_byte = nan
        self._handshake: asyncio.Future[RawResponse] | None = None
        self._attempt = Attempt()
        self._wake: asyncio.Future[None] | None = None
        self._can_write: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] = loop.create_future()
        self._failure: TransportError | None = None

    # -- for the socket that journeys see -------------------------------------------------------

    @property
    def key(self) -> str:
        """The handshake's Sec-WebSocket-Key."""
        return self._protocol.key

    @property
    def is_open(self) -> bool:
        return self._protocol.state is State.OPEN

    @property
    def subprotocol(self) -> str | None:
        """What the server chose of the subprotocols that were offered."""
        return self._protocol.subprotocol

    @property
    def close_code(self) -> int | None:
        """The code of the other side's close, None while there was none."""
        received = self._protocol.close_rcvd
        return None if received is None else int(received.code)

    @property
    def close_reason(self) -> str:
        received = self._protocol.close_rcvd
        return "" if received is None else received.reason

    def shake_hands(self, head: bytes, attempt: Attempt) -> asyncio.Future[RawResponse]:
        """Send the handshake's request; the future holds the answer or a `TransportError`.

        An answer that is not 101 is an answer all the same, and ends the connection.
        """
        self._attempt = attempt
        waiter = self._handshake = self._loop.create_future()
        if self._transport is None:
            self._settle_handshake(TransportError("closed", "before the handshake"))
            return waiter
        attempt.sent_bytes += len(head)
        self._transport.write(head)
        return waiter

    async def send(self, message: Message) -> bool:
        """Send a message, waiting while the socket takes no more; tell whether it was open."""
        if not self.is_open or self._transport is None:
            return False
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._flush()
        if self._can_write is not None:
            await asyncio.shield(self._can_write)
        return True

    async def receive(self) -> Arrived:
        """Return the next message, those that came before the end also after it.

        Raises:
            TransportError: the connection has ended, and there is none left.
        """
        while not self._unread:
            if self._ended.done() or not self.is_open:
                raise self._failure or TransportError("closed", self._closing_words())
            wake = self._wake = self._loop.create_future()
            try:
                await wake
            finally:
                self._wake = None
        arrived = self._unread.popleft()
        was_full = self._unread_bytes > self._max_unread_bytes
        self._unread_bytes -= arrived.received_bytes
        if was_full and self._unread_bytes <= self._max_unread_bytes and self._transport:
            self._transport.resume_reading()
        return arrived

    def begin_close(self, code: int = _NORMAL_CLOSE, reason: str = "") -> None:
        """Say that this side is done, if the connection is open."""
        if self.is_open:
            self._protocol.send_close(code, reason)
            self._flush()
            if self._transport is not None and self._unread_bytes > self._max_unread_bytes:
                self._unread.clear()
                self._unread_bytes = 0
                self._transport.resume_reading()
            self._wake_reader()

    async def ended(self) -> None:
        """Wait until the connection has ended."""
        await asyncio.shield(self._ended)

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are classes of its own, so there is no type to test for.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        now = self._monotonic()
        if self._handshake is not None:
            if self._attempt.received_bytes == 0:
                self._attempt.first_byte = now
            self._attempt.received_bytes += len(data)
        self._protocol.receive_data(data)
        self._take_events(now)

    def eof_received(self) -> bool:
        self._protocol.receive_eof()
        self._take_events(self._monotonic())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        now = self._monotonic()
        # Without a clean end of the stream the protocol has not heard of it yet.
        self._protocol.receive_eof()
        self._take_events(now, is_lost=True)
        kind = "reset" if isinstance(exc, ConnectionError) else "closed"
        if self._failure is None:
            self._failure = TransportError(kind, str(exc or self._closing_words()))
        self._settle_handshake(self._failure)
        self._transport = None
        self.resume_writing()
        if not self._ended.done():
            self._ended.set_result(None)
        self._wake_reader()

    def pause_writing(self) -> None:
        self._can_write = self._loop.create_future()

    def resume_writing(self) -> None:
        waiting, self._can_write = self._can_write, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    # -- inside ---------------------------------------------------------------------------------

    def _take_events(self, now: float, *, is_lost: bool = False) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take_frame(event, now)
            else:
                self._take_answer(event)
        if not is_lost:
            self._flush()
        self._notice_failure()
        if self._protocol.state is not State.OPEN:
            self._wake_reader()

    def _take_answer(self, event: Event) -> None:
        if not isinstance(event, HandshakeResponse):
            return
        answer = _raw(event)
        error = self._protocol.handshake_exc
        if error is None or isinstance(error, InvalidStatus):
            self._settle_handshake(answer)
        else:
            self._settle_handshake(TransportError("protocol", f"the handshake: {error}"))

    def _take_frame(self, frame: Frame, now: float) -> None:
        if frame.opcode not in _DATA_OPCODES:
            return
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
            self._first_byte = now
            self._fragments = []
        if frame.data:  # empty fragments without end would fill the memory all the same
            self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return
        data = self._fragments[0] if len(self._fragments) == 1 else b"".join(self._fragments)
        self._fragments = []
        message: Message = data
        if self._is_text:
            try:
                message = data.decode()
            except UnicodeDecodeError as error:
                # The protocol leaves this to whoever puts the fragments together.
                self._fail("protocol", f"a text message is no UTF-8: {error}", 1007)
                return
        if self._failure is not None:
            return
        self._unread.append(Arrived(message, self._first_byte, now, len(data)))
        self._unread_bytes += len(data)
        if self._unread_bytes > self._max_unread_bytes and self._transport is not None:
            self._transport.pause_reading()
        self._wake_reader()

    def _notice_failure(self) -> None:
        """Turn what the protocol found wrong into this connection's failure."""
        error = self._protocol.handshake_exc
        if error is not None:
            self._settle_handshake(TransportError("protocol", f"the handshake: {_words(error)}"))
        error = self._protocol.parser_exc
        # The end of the stream is told by connection_lost, which knows whether it was a reset.
        if self._failure is None and error is not None and not isinstance(error, EOFError):
            kind = "too_large" if isinstance(error, PayloadTooBig) else "protocol"
            self._failure = TransportError(kind, str(error))
            self._end_soon()

    def _fail(self, kind: str, detail: str, code: int) -> None:
        if self._failure is None:
            self._failure = TransportError(kind, detail)
        if self.is_open:
            self._protocol.fail(code, detail[:100])
        self._end_soon()

    def _end_soon(self) -> None:
        """Send what is left and close: a peer that breaks the rules is not waited for."""
        self._flush()
        if self._transport is not None:
            self._transport.close()
        self._wake_reader()

    def _settle_handshake(self, result: RawResponse | TransportError) -> None:
        waiter, self._handshake = self._handshake, None
        if waiter is None or waiter.done():
            return
        self._attempt.end = self._monotonic()
        if isinstance(result, TransportError):
            waiter.set_exception(result)
        else:
            waiter.set_result(result)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if self._transport is None:
                continue
            if data is SEND_EOF or not data:
                self._transport.close()
            else:
                self._transport.write(data)

    def _wake_reader(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _closing_words(self) -> str:
        received = self._protocol.close_rcvd
        return "without a close" if received is None else f"close code {received}"


def _raw(response: HandshakeResponse) -> RawResponse:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in response.headers.raw_items()
    ]
    return RawResponse(response.status_code, headers, bytes(response.body), can_keep_alive=False)


def _words(error: BaseException) -> str:
    return f"{error}: {error.__cause__}" if error.__cause__ is not None else str(error)
