"""WebSocket journeys: what ``async with self.client.websocket(…)`` gives to a scenario.

As with requests, nothing that the target does is an exception: a handshake that failed is a socket
that is not open, a message that did not come is None, and each has its sample.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import isnan
from types import TracebackType
from typing import Protocol, Self

from surgeproof.load.http.attempt import Attempt, RawResponse, TransportError
from surgeproof.load.outcomes import Judgement, judge
from surgeproof.load.websocket_wire import Arrived, Message, WebSocketWire
from surgeproof.model.words import Outcome

__all__ = ["SampleStep", "WebSocket", "WebSocketOrder", "upgrade"]

_NO_RESPONSE = RawResponse(0, [], b"", can_keep_alive=False)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SWITCHING_PROTOCOLS = 101
# What the other side is given to answer a close; most answer at once, and a session waits for it.
_CLOSE_PATIENCE_S = 1.0


class SampleStep(Protocol):
    """One step of an arrival, which takes what became of it."""

    def record(self, attempt: Attempt, raw: RawResponse, judgement: Judgement) -> None:
        """Journal what it came to."""
        ...


@dataclass(frozen=True, slots=True)
class WebSocketOrder:
    """What a socket needs of the client that opens it.

    ``dial`` connects within the seconds given; ``head`` returns the handshake's bytes for a key;
    ``begin_step`` opens a step of that name, intended at a moment (None: when the step before
    ended).
    """

    name: str
    timeout_s: float
    dial: Callable[[float], Awaitable[WebSocketWire]]
    head: Callable[[str], bytes]
    begin_step: Callable[[str, float | None], SampleStep]
    monotonic: Callable[[], float] = time.monotonic


class WebSocket:
    """A WebSocket of one arrival; one task at a time may receive.

    Times are CLOCK_MONOTONIC seconds.
    """

    def __init__(self, order: WebSocketOrder) -> None:
        self._order = order
        self._wire: WebSocketWire | None = None
        self.status = 0
        self.outcome = Outcome.ERROR
        self.error_kind = ""

    @property
    def is_open(self) -> bool:
        """Messages can be sent; those that came before an end can still be received after it."""
        return self._wire is not None and self._wire.is_open

    @property
    def close_code(self) -> int | None:
        """The code with which the other side closed, None while it has not (RFC 6455, 7.4)."""
        return None if self._wire is None else self._wire.close_code

    @property
    def close_reason(self) -> str:
        return "" if self._wire is None else self._wire.close_reason

    @property
    def subprotocol(self) -> str | None:
        """Which of the subprotocols that were offered the server chose."""
        return None if self._wire is None else self._wire.subprotocol

    async def send(self, message: Message) -> float:
        """Send a text or bytes; return the moment, for the ``since`` of what answers it.

        On a socket that is not open nothing is sent, and what waits for the answer tells why. A
        socket that takes nothing more for the client's timeout is closed (``timeout``).
        """
        began = self._order.monotonic()
        if self._wire is not None:
            try:
                async with asyncio.timeout(self._order.timeout_s):
                    await self._wire.send(message)
            except TimeoutError:
                self.error_kind = "timeout"
                self._wire.abort()
        return began

    async def receive(
        self,
        *,
        name: str | None = None,
        timeout_s: float | None = None,
        since: float | None = None,
    ) -> Message | None:
        """Return the next message, or None if the wait or the connection ended first.

        With a ``name`` the wait is a sample of that name: from ``since`` (what `send` returned),
        else from when the wait began, to when the whole message was at the socket. Without a
        message ``error_kind`` says why: ``timeout`` (the socket stays open), ``closed``,
        ``reset``, ``too_large`` or ``protocol``. On a socket that never opened nothing is waited
        for, and there is no sample besides the handshake's.
        """
        if self._wire is None or self.outcome is not Outcome.FULL:
            return None
        attempt = Attempt()
        began = self._order.monotonic()
        attempt.start = began if since is None else since
        step = None if name is None else self._order.begin_step(name, attempt.start)
        judgement = Judgement(Outcome.ERROR, "unfinished", "")
        try:
            arrived = await _next(self._wire, timeout_s or self._order.timeout_s)
            # A message may have lain here before anybody waited for it: a wait of nothing.
            attempt.first_byte = max(arrived.first_byte, attempt.start)
            attempt.end = max(arrived.end, attempt.start)
            attempt.received_bytes = arrived.received_bytes
            judgement = Judgement(Outcome.FULL, "", "")
            return arrived.message
        except TransportError as error:
            attempt.end = self._order.monotonic()
            self.error_kind = error.kind
            judgement = Judgement(Outcome.ERROR, error.kind, "", str(error))
            return None
        finally:
            # Also when the run ends and this task is cancelled: the wait was made.
            if step is not None:
                step.record(attempt, _NO_RESPONSE, judgement)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, waiting a moment for the other side to answer.

        Raises:
            ValueError: the code is none that a client may send.
        """
        if code != 1000 and not 3000 <= code < 5000:
            raise ValueError(f"close code {code}; accepted: 1000, 3000 to 4999")
        wire = self._wire
        if wire is None:
            return
        wire.begin_close(code, reason)
        try:
            async with asyncio.timeout(_CLOSE_PATIENCE_S):
                await wire.ended()
        except TimeoutError:
            pass
        finally:
            wire.abort()

    async def __aenter__(self) -> Self:
        order = self._order
        step = order.begin_step(order.name, None)
        attempt = Attempt()
        raw, judgement = _NO_RESPONSE, Judgement(Outcome.ERROR, "unfinished", "")
        try:
            raw = await self._open(attempt)
            judgement = _judge_handshake(raw)
        except TransportError as error:
            judgement = Judgement(Outcome.ERROR, error.kind, "", str(error))
        except BaseException:
            if self._wire is not None:
                self._wire.abort()
            raise
        finally:
            # Where dialling failed no connection could note the end.
            if isnan(attempt.end) and judgement.error_kind != "unfinished":
                attempt.end = order.monotonic()
            step.record(attempt, raw, judgement)
        self.status, self.outcome, self.error_kind = (
            raw.status,
            judgement.outcome,
            judgement.error_kind,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._wire is None:
            return
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            self._wire.abort()
        else:
            await self.close()

    async def _open(self, attempt: Attempt) -> RawResponse:
        order = self._order
        attempt.start = order.monotonic()
        self._wire = await order.dial(order.timeout_s)
        left_s = order.timeout_s - (order.monotonic() - attempt.start)
        try:
            async with asyncio.timeout(max(left_s, 0.0)):
                return await self._wire.shake_hands(order.head(self._wire.key), attempt)
        except TimeoutError:
            self._wire.abort()
            raise TransportError("timeout", "the handshake was not answered in time") from None


async def _next(wire: WebSocketWire, timeout_s: float) -> Arrived:
    try:
        async with asyncio.timeout(timeout_s):
            return await wire.receive()
    except TimeoutError:
        raise TransportError("timeout", f"no message in {timeout_s:.3g}s") from None


def upgrade(request: bytes, key: str, subprotocols: Sequence[str]) -> bytes:
    """Return a GET without a body as the handshake that asks for a WebSocket.

    Raises:
        ValueError: a subprotocol that cannot be sent.
    """
    if any(not _TOKEN.fullmatch(each) for each in subprotocols):
        raise ValueError(f"subprotocols {tuple(subprotocols)!r}; accepted: names without spaces")
    offered = f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}\r\n" if subprotocols else ""
    fields = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offered}\r\n"
    )
    return request.removesuffix(b"\r\n") + fields.encode("ascii")


def _judge_handshake(raw: RawResponse) -> Judgement:
    """Only a switch of protocols is full: whatever else is fine elsewhere opens no socket."""
    if raw.status == _SWITCHING_PROTOCOLS:
        return Judgement(Outcome.FULL, "", "")
    found = judge(raw)
    if found.outcome is Outcome.SHED:
        return found
    return Judgement(Outcome.ERROR, f"status_{raw.status}", "")
