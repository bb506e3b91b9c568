"""The gateway's own ear on the stream: a plain subscription, which keeps and acknowledges nothing.

A subscription of the stream itself would deliver what was missed; sockets have no use for that:
after a gap their clients fetch their pages anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

import msgspec
import nats
from nats import errors

from target_app.edge import EdgeClient, EdgeError, EdgeFailedError
from target_app.feed.keys import LAG_LIMIT_S
from target_app.worker.events import SUBJECT_PREFIX, Event, decode_event

__all__ = [
    "NOTIFIED_SUBJECT",
    "STATUS_SUBJECT",
    "EventSource",
    "Hearer",
    "Notified",
    "Status",
]

# Published by the worker once a notification can be read.
NOTIFIED_SUBJECT = "live.notified"
# Said by the worker about twice a second.
STATUS_SUBJECT = "live.status"

_CONNECT_LIMIT_S = 1
_GOODBYE_LIMIT_S = 0.3
# A connection on which the server has gone silent is given up after two of these.
_PING_S = 1
_CHECK_S = 0.1
_RETRY_S = 0.5


class Notified(msgspec.Struct):
    """The body of a message on ``NOTIFIED_SUBJECT``."""

    user_id: int


class Status(msgspec.Struct):
    """The body of a message on ``STATUS_SUBJECT``: how long events have waited for the stream."""

    waiting_s: float


class Hearer(Protocol):
    """Who is told of events."""

    def hear(self, event: Event) -> None:
        """Take an event; raise ``msgspec.DecodeError`` if it makes no sense."""
        ...

    def notify(self, user_id: int) -> None:
        """Take note that a user has a new notification."""
        ...


class _Message(Protocol):
    data: bytes


class _Client(Protocol):
    @property
    def is_connected(self) -> bool: ...

    async def subscribe(
        self, subject: str, *, cb: Callable[[_Message], Awaitable[None]]
    ) -> object: ...

    async def flush(self, timeout: int) -> None: ...  # noqa: ASYNC109

    async def close(self) -> None: ...


class EventSource:
    """Listens over an edge for as long as :meth:`listen` runs; ``is_connected`` says if it can."""

    def __init__(
        self,
        client: EdgeClient,
        host: str,
        port: int,
        *,
        hearer: Hearer,
        note: Callable[[Exception], None],
    ) -> None:
        self._edge = client
        self._url = f"nats://{host}:{port}"
        self._hearer = hearer
        self._note = note
        self._client: _Client | None = None
        self._has_missed = False
        self._heard_at_s: float | None = None

    @property
    def is_connected(self) -> bool:
        """Whether events are heard, as far as this side knows."""
        return self._client is not None and self._client.is_connected and not self._has_missed

    @property
    def is_current(self) -> bool:
        """Whether the worker has said of late that all events have reached the stream."""
        heard_at = self._heard_at_s
        return heard_at is not None and self._edge.clock.monotonic() - heard_at <= LAG_LIMIT_S

    async def listen(self) -> None:
        """Connect again and again, for ever."""
        while True:
            try:
                await self._connect()
                # A client that does not reconnect does not say either when it has lost its server.
                while self.is_connected:  # noqa: ASYNC110
                    await asyncio.sleep(_CHECK_S)
            except EdgeError as error:
                self._note(error)
            finally:
                await self._discard()
            await asyncio.sleep(_RETRY_S)

    async def _connect(self) -> None:
        async def operation() -> None:
            try:
                self._client = cast(
                    "_Client",
                    await nats.connect(
                        self._url,
                        name="gateway",
                        allow_reconnect=False,
                        max_reconnect_attempts=1,
                        connect_timeout=_CONNECT_LIMIT_S,
                        ping_interval=_PING_S,
                        max_outstanding_pings=2,
                        error_cb=self._on_error,
                    ),
                )
                await self._client.subscribe(SUBJECT_PREFIX + ">", cb=self._on_event)
                await self._client.subscribe(NOTIFIED_SUBJECT, cb=self._on_notified)
                await self._client.subscribe(STATUS_SUBJECT, cb=self._on_status)
                # Only now does the server have the subscriptions.
                await self._client.flush(_CONNECT_LIMIT_S)
            except (errors.Error, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                detail = f"{type(error).__name__}: {error}"
                raise EdgeFailedError(self._edge.policy.name, detail) from error

        self._has_missed = False
        await self._edge.call(operation)

    async def _discard(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            # It may be broken; its own errors no longer matter.
            with contextlib.suppress(errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(_GOODBYE_LIMIT_S):
                    await client.close()

    async def _on_event(self, message: _Message) -> None:
        try:
            self._hearer.hear(decode_event(message.data))
        except msgspec.DecodeError as error:
            self._note(error)

    async def _on_notified(self, message: _Message) -> None:
        try:
            self._hearer.notify(msgspec.json.decode(message.data, type=Notified).user_id)
        except msgspec.DecodeError as error:
            self._note(error)

    async def _on_status(self, message: _Message) -> None:
        try:
            if msgspec.json.decode(message.data, type=Status).waiting_s <= LAG_LIMIT_S:
                self._heard_at_s = self._edge.clock.monotonic()
        except msgspec.DecodeError as error:
            self._note(error)

    async def _on_error(self, error: Exception) -> None:
        self._note(error)
        # Behind by so much that messages were thrown away: begin anew, as after a lost connection.
        self._has_missed = self._has_missed or isinstance(error, errors.SlowConsumerError)
