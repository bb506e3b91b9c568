"""A bounded pool of keep-alive connections with an explicit queue.

Beyond ``size`` connections a request waits its turn instead of dialling one more: a generator
that falls behind and dials for every late request only falls further behind.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import deque

from surgeproof.load.http.attempt import TransportError
from surgeproof.load.http.connection import Connection
from surgeproof.load.http.origin import Origin

__all__ = ["Pool"]


class Pool:
    """Connections to one origin; belongs to one event loop."""

    def __init__(
        self,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        size: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._origin, self._loop, self._size, self._tls = origin, loop, size, tls
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._places = size
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def queued(self) -> int:
        """How many requests wait for a place."""
        return sum(1 for waiter in self._waiting if not waiter.done())

    async def take_place(self, timeout_s: float) -> None:
        """Wait for one of the places; give it back with `give_place`.

        Raises:
            TransportError: ``queue_timeout``.
        """
        if self._places > 0:
            self._places -= 1
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            # The place may have been handed over in the same turn of the loop.
            if waiter.done() and not waiter.cancelled():
                self.give_place()
            if isinstance(error, asyncio.CancelledError):
                raise
            detail = f"no free connection in {timeout_s:.3g}s"
            raise TransportError("queue_timeout", detail) from None

    def give_place(self) -> None:
        """Hand a place to whoever waits longest, or keep it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._places += 1

    async def connection(self, timeout_s: float) -> Connection:
        """Return an idle connection, the one used last, or dial. The caller holds a place.

        Raises:
            TransportError: dialling failed.
        """
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return await self._dial(timeout_s)

    def keep(self, connection: Connection) -> None:
        """Take a connection back after a complete answer."""
        if connection.is_open:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        for connection in list(self._all):
            connection.close()
        self._idle.clear()

    async def _dial(self, timeout_s: float) -> Connection:
        name = self._origin.host if self._tls else None
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._loop, self._forget),
                    self._origin.host,
                    self._origin.port,
                    ssl=self._tls,
                    server_hostname=name,
                )
        except TimeoutError as error:
            raise TransportError("connect_timeout", str(error)) from error
        except ssl.SSLError as error:
            raise TransportError("tls", str(error)) from error
        except OSError as error:
            raise TransportError(_dial_kind(error), str(error)) from error
        self._all.add(connection)
        return connection

    def _forget(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


def _dial_kind(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionError):
        return "reset"
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return "descriptors"
    return "unreachable"
