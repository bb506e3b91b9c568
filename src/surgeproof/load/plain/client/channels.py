"""The connections of a generator to its origins: bounded, kept alive, with deadlines."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.lock import Semaphore
from gevent.socket import create_connection

from surgeproof.load.http.attempt import RawResponse, TransportError
from surgeproof.load.http.origin import Origin
from surgeproof.load.plain.client.channel import Channel, Exchange
from surgeproof.model.plan import Timeouts

__all__ = ["Channels"]

# Deadlines are looked after this often: one timer for all instead of one for each request.
_SWEEP_S = 0.05
# A server that closes idle connections after less than this closes them on everybody.
_FRESH_S = 0.5
_NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
_DIAL_KINDS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EMFILE: "descriptors",
    errno.ENFILE: "descriptors",
    errno.ETIMEDOUT: "connect_timeout",
}


class Channels:
    """Connections that many sessions share, at most ``limit`` at a time over all origins.

    Requests beyond wait for a place, which is latency: ``queued`` says how many do, ``waited`` how
    many ever did. Belongs to one gevent hub.
    """

    def __init__(
        self,
        limit: int,
        timeouts: Timeouts,
        *,
        make_context: Callable[[], ssl.SSLContext],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeouts = timeouts
        self.queued = 0
        self.waited = 0
        self._places = Semaphore(limit)
        self._make_context, self._monotonic = make_context, monotonic
        self._contexts: dict[object, ssl.SSLContext] = {}
        self._idle: dict[object, list[Channel]] = {}
        self._busy: set[Channel] = set()
        self._sweeper: gevent.Greenlet | None = None

    def send(
        self,
        origin: Origin,
        data: bytes,
        exchange: Exchange,
        *,
        timeouts: Timeouts,
        is_head: bool = False,
        can_repeat: bool = False,
        context: ssl.SSLContext | None = None,
    ) -> RawResponse:
        """Send a request to an origin and return its whole answer.

        A request that ``can_repeat`` is sent once more where a kept connection turns out to have
        ended before the first byte of an answer. ``context`` replaces the trust of this pool.

        Raises:
            TransportError: there is no complete answer.
        """
        ends_at = self._monotonic() + timeouts.total_s
        self._take_place(timeouts.total_s)
        key = (origin, context)
        try:
            exchange.start = self._monotonic()
            while True:
                channel = self._idle_channel(key) or self._dial(origin, timeouts, ends_at, context)
                channel.ends_at, channel.read_s = ends_at, timeouts.read_s
                channel.heard_at = exchange.start
                try:
                    raw = self._exchange(channel, data, exchange, is_head=is_head)
                except TransportError as error:
                    has_gone_stale = (
                        error.kind in {"closed", "reset"}
                        and channel.has_answered
                        and not exchange.received_bytes
                    )
                    if not (has_gone_stale and can_repeat):
                        raise
                    continue
                if raw.can_keep_alive:
                    channel.idle_since = channel.heard_at
                    self._idle.setdefault(key, []).append(channel)
                else:
                    channel.close()
                return raw
        finally:
            self._places.release()

    def close(self) -> None:
        """Close every idle connection and look after deadlines no more."""
        for channels in self._idle.values():
            for channel in channels:
                channel.close()
        self._idle.clear()
        if self._sweeper is not None:
            self._sweeper.kill(block=False)
            self._sweeper = None

    def _exchange(
        self, channel: Channel, data: bytes, exchange: Exchange, *, is_head: bool
    ) -> RawResponse:
        if self._sweeper is None:
            self._sweeper = gevent.spawn(self._sweep)
        self._busy.add(channel)
        try:
            return channel.exchange(data, exchange, is_head=is_head)
        except BaseException:
            # Also when the greenlet is killed: half an answer is in there.
            channel.close()
            raise
        finally:
            self._busy.discard(channel)

    def _take_place(self, patience_s: float) -> None:
        if self._places.acquire(blocking=False):
            return
        self.queued += 1
        self.waited += 1
        try:
            if not self._places.acquire(timeout=patience_s):
                raise TransportError("queue_timeout", "no connection was free in time")
        finally:
            self.queued -= 1

    def _idle_channel(self, key: object) -> Channel | None:
        idle = self._idle.get(key)
        while idle:
            channel = idle.pop()
            if self._monotonic() - channel.idle_since < _FRESH_S or channel.is_usable():
                return channel
            channel.close()
        return None

    def _dial(
        self,
        origin: Origin,
        timeouts: Timeouts,
        ends_at: float,
        context: ssl.SSLContext | None,
    ) -> Channel:
        patience_s = max(0.001, min(timeouts.connect_s, ends_at - self._monotonic()))
        dialled_at = self._monotonic()
        plain: Any = None
        try:
            plain = create_connection((origin.host, origin.port), timeout=patience_s)
            plain.setsockopt(*_NODELAY)
            if origin.is_tls:
                left_s = patience_s - (self._monotonic() - dialled_at)
                plain.settimeout(max(0.001, left_s))
                plain = self._wrap(plain, origin, context)
            plain.settimeout(None)
        except BaseException as error:
            if plain is not None:
                plain.close()
            if isinstance(error, OSError):
                raise TransportError(_dial_kind(error), str(error)) from error
            raise
        return Channel(plain, self._monotonic)

    def _wrap(self, plain: Any, origin: Origin, context: ssl.SSLContext | None) -> Any:
        if context is None:
            context = self._contexts.get(None)
        if context is None:
            context = self._contexts[None] = self._make_context()
        return context.wrap_socket(plain, server_hostname=origin.host)

    def _sweep(self) -> None:
        while True:
            gevent.sleep(_SWEEP_S)
            now = self._monotonic()
            for channel in list(self._busy):
                if now > channel.ends_at:
                    channel.expire("timeout")
                elif now - channel.heard_at > channel.read_s:
                    channel.expire("read_timeout")


def _dial_kind(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, TimeoutError):
        return "connect_timeout"
    if isinstance(error, ssl.SSLError):
        return "tls"
    return _DIAL_KINDS.get(error.errno or 0, "unreachable")
