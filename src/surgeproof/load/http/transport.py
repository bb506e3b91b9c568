"""Requests over a pool: one call, one attempt."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable
from math import isnan, nan
from typing import TypeVar

from surgeproof.load.http.attempt import Attempt, RawResponse, TransportError
from surgeproof.load.http.connection import Connection
from surgeproof.load.http.dialling import dial
from surgeproof.load.http.origin import Origin
from surgeproof.load.http.pool import Pool
from surgeproof.load.http.upload import Upload
from surgeproof.model.plan import Timeouts

__all__ = ["Transport"]

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
        self._loop, self._monotonic = loop, monotonic
        self.origin, self.tls = origin, tls
        self.limits = limits
        self.pool = Pool(origin, loop, connections, tls, monotonic)
        self._timer = loop.call_later(_SWEEP_S, self._sweep)

    @property
    def queued(self) -> int:
        """How many requests wait for a connection: the generator's own limit, not the target's."""
        return len(self.pool.waiting)

    async def attempt(
        self,
        data: bytes,
        *,
        attempt: Attempt,
        is_head: bool = False,
        limits: Timeouts | None = None,
        rest: Iterable[bytes] | None = None,
    ) -> RawResponse:
        """Make one attempt; what is measured lands in ``attempt``, also when it fails.

        ``data`` is the whole request, or its head with the chunks of ``rest`` to follow, which are
        asked for as the socket takes them.

        Raises:
            TransportError: there is no complete answer.
        """
        call = _Call(self, data, attempt, limits or self.limits, is_head=is_head, rest=rest)
        self.pool.submit(call)
        if call.is_queued and limits is not None and limits is not self.limits:
            # The queue's own look at deadlines supposes that they come in order.
            timer = self._loop.call_later(limits.total_s, self.pool.give_up, call)
            call.future.add_done_callback(lambda _: timer.cancel())
        try:
            return await call.future
        except asyncio.CancelledError:
            call.abandon()
            raise

    async def dial(self, make_protocol: Callable[[], Spoken], timeout_s: float) -> Spoken:
        """Return a protocol on a connection of its own, beside the pool.

        Raises:
            TransportError: it cannot be reached.
        """
        limit_s = min(timeout_s, self.limits.connect_s)
        return await dial(self._loop, self.origin, self.tls, make_protocol, limit_s)

    def now(self) -> float:
        return self._monotonic()

    def new_future(self) -> asyncio.Future[RawResponse]:
        return self._loop.create_future()

    def close(self) -> None:
        """Close every connection."""
        self._timer.cancel()
        self.pool.close()

    def _sweep(self) -> None:
        self.pool.expire(self._monotonic())
        self._timer = self._loop.call_later(_SWEEP_S, self._sweep)


class _Call:
    """One attempt that a coroutine waits for; the pool's job and the connection's exchange."""

    __slots__ = (
        "_attempt",
        "_connection",
        "_data",
        "_is_head",
        "_read_s",
        "_rest",
        "_transport",
        "_upload",
        "connect_s",
        "deadline",
        "future",
        "is_over",
        "start",
    )

    def __init__(
        self,
        transport: Transport,
        data: bytes,
        attempt: Attempt,
        limits: Timeouts,
        *,
        is_head: bool,
        rest: Iterable[bytes] | None,
    ) -> None:
        self._transport, self._data, self._attempt = transport, data, attempt
        self._is_head, self._rest = is_head, rest
        self._connection: Connection | None = None
        self._upload: Upload | None = None
        self.start = nan
        self.deadline = transport.now() + limits.total_s
        self.connect_s, self._read_s = limits.connect_s, limits.read_s
        self.is_over = False
        self.future = transport.new_future()

    @property
    def is_queued(self) -> bool:
        return isnan(self.start)

    def begin(self, connection: Connection) -> None:
        self._attempt.start = self.start
        self._connection = connection
        connection.send(
            self._data,
            self,
            now=self._transport.now(),
            deadline=self.deadline,
            read_s=self._read_s,
            is_head=self._is_head,
        )
        if self._rest is not None:
            self._upload = Upload(connection, self, self._rest)

    def answered(self, connection: Connection) -> None:
        if self._upload is not None and not self._upload.stop():
            # What is left of the request would be read as the next one.
            connection.is_open = False
        self._note(connection)
        if not self.future.done():
            self.future.set_result(
                RawResponse(
                    connection.status,
                    connection.headers,
                    connection.body,
                    can_keep_alive=connection.can_keep_alive,
                    marks=connection.marks,
                )
            )

    def failed(self, connection: Connection | None, kind: str, detail: str) -> None:
        attempt = self._attempt
        if self._upload is not None:
            self._upload.stop()
            if self._upload.complaint:
                kind, detail = "body", self._upload.complaint
        if connection is None:
            attempt.start, attempt.end = self.start, self._transport.now()
        else:
            self._note(connection)
        self.is_over = True
        if not self.future.done():
            self.future.set_exception(TransportError(kind, detail))

    def abandon(self) -> None:
        """Nobody waits any more: the connection cannot serve anybody before its answer came."""
        self.is_over = True
        self._attempt.start = self.start
        if self._upload is not None:
            self._upload.stop()
        if self._connection is not None:
            self._connection.close()

    def _note(self, connection: Connection) -> None:
        self.is_over = True
        self._connection = None
        attempt = self._attempt
        attempt.first_byte, attempt.end = connection.first_byte, connection.end
        attempt.sent_bytes = connection.sent_bytes
        attempt.received_bytes = connection.received_bytes
        attempt.was_reused = connection.was_reused
