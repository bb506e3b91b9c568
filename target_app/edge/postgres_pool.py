"""A pool that keeps a fixed number of PostgreSQL connections open, whatever happens to them."""

from __future__ import annotations

import asyncio
import random
from collections import deque

from target_app.edge.errors import EdgeFailedError
from target_app.edge.postgres_link import Link, PostgresTarget, connect

__all__ = ["LinkPool"]

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.4
# Connecting costs the server a process each; a whole pool at once would stall it.
_CONNECTS_AT_ONCE = 4


class LinkPool:
    """Hands out connections, the most recently used first, and replaces lost ones for ever."""

    def __init__(self, edge: str, target: PostgresTarget, size: int) -> None:
        self.connected = asyncio.Event()
        self._edge = edge
        self._target = target
        self._size = size
        self._idle: deque[Link] = deque()
        self._waiting: deque[asyncio.Future[Link]] = deque()
        self._links: set[Link] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._gate = asyncio.Semaphore(_CONNECTS_AT_ONCE)
        self._jitter = random.Random()
        # Why the last attempt to connect failed; None while connecting works.
        self._failure: str | None = None

    def start(self) -> None:
        """Begin to connect in the background."""
        self._keepers = [
            asyncio.create_task(self._keep_one(), name=f"{self._edge}-link-{number}")
            for number in range(self._size)
        ]

    async def close(self) -> None:
        """Stop connecting and close all connections."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(link.close() for link in self._links))

    async def acquire(self) -> Link:
        """Return an open connection, waiting for one if all are in use or being replaced.

        Raises :class:`EdgeFailedError` at once if there is none and connecting fails.
        """
        while self._idle:
            link = self._idle.pop()
            if not link.is_closed:
                return link
        if not self._links and self._failure is not None:
            raise EdgeFailedError(self._edge, self._failure)
        waiter: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            # The link may have been handed over in the same turn of the loop as the cancellation.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            raise

    def release(self, link: Link) -> None:
        """Take a connection back; a closed one is replaced by its keeper."""
        if link.is_closed:
            link.closed.set()
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(link)
                return
        self._idle.append(link)

    async def _keep_one(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with self._gate:
                    link = await connect(self._edge, self._target)
            except EdgeFailedError as error:
                self._fail(error.detail)
                await asyncio.sleep(pause_s * self._jitter.uniform(0.5, 1.0))
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                continue
            pause_s = _FIRST_PAUSE_S
            self._failure = None
            self._links.add(link)
            self.connected.set()
            self.release(link)
            try:
                await link.closed.wait()
            finally:
                if link.closed.is_set():
                    self._links.discard(link)

    def _fail(self, reason: str) -> None:
        self._failure = reason
        if self._links:
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(EdgeFailedError(self._edge, reason))
