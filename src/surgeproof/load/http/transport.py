"""Requests over a pool: one call, one attempt."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from math import isnan

from surgeproof.load.http.attempt import Attempt, RawResponse, TransportError
from surgeproof.load.http.origin import Origin
from surgeproof.load.http.pool import Pool
from surgeproof.load.http.wire import encode_request

__all__ = ["Transport"]


class Transport:
    """Sends requests to one origin. Belongs to one event loop."""

    def __init__(
        self,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        *,
        connections: int,
        tls: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = origin
        self._pool = Pool(origin, loop, connections, tls)
        self._monotonic = monotonic

    @property
    def queued(self) -> int:
        """How many requests wait for a connection: the generator's own limit, not the target's."""
        return self._pool.queued

    async def attempt(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeout_s: float,
        attempt: Attempt,
    ) -> RawResponse:
        """Make one attempt; what is measured lands in ``attempt``, also when it fails.

        ``timeout_s`` covers waiting for a connection, dialling and the whole answer.

        Raises:
            TransportError: there is no complete answer.
            ValueError: the request cannot be put into HTTP/1.1.
        """
        data = encode_request(self._origin, method, path, headers, body)
        began = self._monotonic()
        await self._pool.take_place(timeout_s)
        try:
            attempt.start = self._monotonic()
            connection = await self._pool.connection(timeout_s - (attempt.start - began))
            left_s = timeout_s - (self._monotonic() - began)
            waiter = connection.send(
                data, is_head=method == "HEAD", attempt=attempt, timeout_s=max(left_s, 0.0)
            )
            try:
                response = await waiter
            except asyncio.CancelledError:
                connection.close()
                raise
            self._pool.keep(connection)
            return response
        except TransportError:
            if isnan(attempt.end):  # dialling failed: no connection could note the end
                attempt.end = self._monotonic()
            raise
        finally:
            self._pool.give_place()

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()
