"""Requests over a pool: one call, one attempt."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable
from math import isnan
from typing import TypeVar

from surgeproof.load.http.attempt import Attempt, RawResponse, TransportError
from surgeproof.load.http.connection import Connection
from surgeproof.load.http.dialling import dial
from surgeproof.load.http.origin import Origin
from surgeproof.load.http.pool import Pool
from surgeproof.load.http.upload import Upload
from surgeproof.model.plan import Timeouts

__all__ = ["Call", "Transport"]

Spoken = TypeVar("Spoken", bound=asyncio.BaseProtocol)

# How often limits are looked at: one timer for all requests, so a limit is up to this much late.
_SWEEP_S = 0.02


class Transport:
    """Sends requests to one origin. Belongs to one event loop."""

    def __init__(
        self,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        *,
        connections: int,
        limits: Timeouts,
        tls: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop, self.monotonic = loop, monotonic
        self.origin, self.tls = origin, tls
        self.limits = limits
        self.pool = Pool(origin, loop, connections, tls, monotonic)
        self._timer = loop.call_later(_SWEEP_S, self._sweep)

    @property
    def queued(self) -> int:
        """How many requests wait for a connection: the generator's own limit, not the target's."""
        return len(self.pool.waiting)

    def begin(
        self,
        data: bytes,
        *,
        is_head: bool = False,
        limits: Timeouts | None = None,
        rest: Iterable[bytes] | None = None,
    ) -> Call:
        """Begin one attempt and return it; whoever stops waiting for its answer abandons it.

        ``data`` is the whole request, or its head with the chunks of ``rest`` to follow, which are
        asked for as the socket takes them.
        """
        call = Call(self, data, limits or self.limits, is_head=is_head, rest=rest)
        self.pool.submit(call)
        if limits is not None and limits is not self.limits and isnan(call.start):
            # The queue's own look at deadlines supposes that they come in order.
            timer = self._loop.call_later(limits.total_s, self.pool.give_up, call)
            call.answer.add_done_callback(lambda _: timer.cancel())
        return call

    async def dial(self, make_protocol: Callable[[], Spoken], timeout_s: float) -> Spoken:
        """Return a protocol on a connection of its own, beside the pool.

        Raises:
            TransportError: it cannot be reached.
        """
        limit_s = min(timeout_s, self.limits.connect_s)
        return await dial(self._loop, self.origin, self.tls, make_protocol, limit_s)

    def new_future(self) -> asyncio.Future[RawResponse]:
        return self._loop.create_future()

    def close(self) -> None:
        """Close every connection."""
        self._timer.cancel()
        self.pool.close()

    def _sweep(self) -> None:
        self.pool.expire(self.monotonic())
        self._timer = self._loop.call_later(_SWEEP_S, self._sweep)


class Call(Attempt):
    """One attempt that a coroutine waits for; the pool's job and the connection's exchange.

    ``answer`` raises TransportError where there is no complete one.
    """

    __slots__ = (
        "_connection",
        "_data",
        "_is_head",
        "_read_s",
        "_rest",
        "_transport",
        "_upload",
        "answer",
        "connect_s",
        "deadline",
        "is_over",
    )

    def __init__(
        self,
        transport: Transport,
        data: bytes,
        limits: Timeouts,
        *,
        is_head: bool,
        rest: Iterable[bytes] | None,
    ) -> None:
        super().__init__()
        self._transport, self._data = transport, data
        self._is_head, self._rest = is_head, rest
        self._connection: Connection | None = None
        self._upload: Upload | None = None
        self.deadline = transport.monotonic() + limits.total_s
        self.connect_s, self._read_s = limits.connect_s, limits.read_s
        self.is_over = False
        self.answer = transport.new_future()

    def begin(self, connection: Connection) -> None:
        self._connection = connection
        connection.send(self._data, self, self.start, self.deadline, self._read_s, self._is_head)
        if self._rest is not None:
            self._upload = Upload(connection, self, self._rest)

    def answered(self, connection: Connection) -> None:
        if self._upload is not None and not self._upload.stop():
            # What is left of the request would be read as the next one.
            connection.is_open = False
        self._note(connection)
        if not self.answer.done():
            self.answer.set_result(
                RawResponse(
                    connection.status,
                    connection.headers,
                    connection.body,
                    can_keep_alive=connection.can_keep_alive,
                    marks=connection.marks,
                )
            )

    def failed(self, connection: Connection | None, kind: str, detail: str) -> None:
        if self._upload is not None:
            self._upload.stop()
            if self._upload.complaint:
                kind, detail = "body", self._upload.complaint
        if connection is None:
            self.end = self._transport.monotonic()
        else:
            self._note(connection)
        self.is_over = True
        if not self.answer.done():
            self.answer.set_exception(TransportError(kind, detail))

    def abandon(self) -> None:
        """Nobody waits any more: the connection cannot serve anybody before its answer came."""
        self.is_over = True
        if self._upload is not None:
            self._upload.stop()
        if self._connection is not None:
            self._connection.close()

    def _note(self, connection: Connection) -> None:
        self.is_over = True
        self._connection = None
        self.first_byte, self.end = connection.first_byte, connection.end
        self.sent_bytes = connection.sent_bytes
        self.received_bytes = connection.received_bytes
        self.was_reused = connection.was_reused
