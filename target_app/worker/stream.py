"""The event stream on NATS JetStream: a connection that is replaced whenever it breaks.

The client library can reconnect by itself, but then keeps subscriptions and pending pulls of the
old connection, of which it cannot know whether the server still has them. A new client per
connection leaves nothing half alive.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar, cast

import msgspec
import nats
from nats import errors
from nats.js import api
from nats.js import errors as js_errors

from target_app.edge import EdgeClient, EdgeFailedError
from target_app.worker.consumer import Delivery
from target_app.worker.events import SUBJECT_PREFIX, Event, subject_of

__all__ = ["CONSUMER", "STREAM", "EventStream"]

T = TypeVar("T")

STREAM = "EVENTS"
DEAD_STREAM = "DEAD"
CONSUMER = "timelines"
_DEAD_PREFIX = "dead."

# Longer than an event may wait between two tries of the relay, and than a restart of it takes.
_DUPLICATE_WINDOW_S = 120.0
# Events are of use for as long as timelines and trends are; the database keeps the posts.
_KEEP_S = 3600.0
_MAX_BYTES = 256 * 1024 * 1024

# What was in flight when a connection broke comes again after this time.
_ACK_WAIT_S = 2.0
_MAX_UNACKED = 256
_BATCH = 64

# A pull waits this long for the first message; a message that comes is handed over at once.
_FIRST_WAIT_S = 1.0
# Once there is one, others that come within this time are taken along.
_MORE_WAIT_S = 0.02

_CONNECT_LIMIT_S = 1
_GOODBYE_LIMIT_S = 0.3
# A connection on which the server has gone silent is given up after two of these.
_PING_S = 1


class _Message(Protocol):
    data: bytes

    @property
    def metadata(self) -> _Metadata: ...

    async def ack(self) -> None: ...

    async def nak(self, delay: float | None = None) -> None: ...

    async def term(self) -> None: ...

    async def in_progress(self) -> None: ...


class _Metadata(Protocol):
    num_delivered: int


class _PullSubscription(Protocol):
    async def fetch(self, batch: int, timeout: float) -> list[_Message]: ...  # noqa: ASYNC109


class _ConsumerInfo(Protocol):
    num_pending: int
    num_ack_pending: int


class _JetStream(Protocol):
    async def publish(
        self, subject: str, payload: bytes, *, stream: str, headers: dict[str, str]
    ) -> object: ...

    async def add_stream(self, config: api.StreamConfig) -> object: ...

    async def pull_subscribe(
        self, subject: str, *, durable: str, stream: str, config: api.ConsumerConfig
    ) -> _PullSubscription: ...

    async def consumer_info(self, stream: str, consumer: str) -> _ConsumerInfo: ...


class _Client(Protocol):
    @property
    def is_connected(self) -> bool: ...

    def jetstream(self) -> _JetStream: ...

    async def publish(self, subject: str, payload: bytes) -> None: ...

    async def close(self) -> None: ...


class EventStream:
    """Publishes events and hands over deliveries; raises EdgeError while there is no connection."""

    def __init__(
        self,
        client: EdgeClient,
        host: str,
        port: int,
        *,
        note: Callable[[Exception], None],
        consumer: str = CONSUMER,
    ) -> None:
        self._edge = client
        self.consumer = consumer
        self._url = f"nats://{host}:{port}"
        self._note = note
        self._client: _Client | None = None
        self._jetstream: _JetStream | None = None
        self._subscription: _PullSubscription | None = None

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, as far as this side knows."""
        return self._client is not None and self._client.is_connected

    async def connect(self) -> None:
        """Make a new connection in place of a broken one, with stream and consumer in place."""
        await self.close()

        async def operation() -> None:
            client = cast(
                "_Client",
                await nats.connect(
                    self._url,
                    name=f"worker {self.consumer}",
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    connect_timeout=_CONNECT_LIMIT_S,
                    ping_interval=_PING_S,
                    max_outstanding_pings=2,
                    error_cb=self._note_error,
                ),
            )
            try:
                await self._set_up(client)
            except BaseException:
                await _discard(client)
                raise

        await self._guard(operation)

    async def publish(self, event: Event) -> None:
        """Store an event; sent again, it is dropped by the stream."""
        payload = msgspec.json.encode(event)
        headers = {api.Header.MSG_ID.value: str(event.event_id)}

        async def operation() -> None:
            await self._ready().publish(subject_of(event), payload, stream=STREAM, headers=headers)

        await self._guard(operation)

    async def bury(self, data: bytes, kind: str) -> None:
        """Put a message that nobody can work off into the stream of dead letters."""

        async def operation() -> None:
            await self._ready().publish(_DEAD_PREFIX + kind, data, stream=DEAD_STREAM, headers={})

        await self._guard(operation)

    async def say(self, subject: str, body: bytes) -> None:
        """Tell whoever listens right now; nothing is stored."""

        async def operation() -> None:
            self._ready()
            if self._client is not None:
                await self._client.publish(subject, body)

        await self._guard(operation)

    async def deliveries(self) -> Sequence[Delivery]:
        """Wait up to a second for messages and return them, none if there are none."""
        self._ready()
        subscription = self._subscription
        if subscription is None:
            raise EdgeFailedError(self._edge.policy.name, "not subscribed")
        messages = await self._pull(subscription, 1, _FIRST_WAIT_S)
        if messages:
            messages += await self._pull(subscription, _BATCH, _MORE_WAIT_S)
        return [_JetStreamDelivery(message, self._guard) for message in messages]

    async def lag(self) -> int:
        """Return how many messages the consumer has not acknowledged."""

        async def operation() -> int:
            info = await self._ready().consumer_info(STREAM, self.consumer)
            return info.num_pending + info.num_ack_pending

        return await self._guard(operation)

    async def close(self) -> None:
        """Close the connection; safe to call twice."""
        client, self._client = self._client, None
        self._jetstream = self._subscription = None
        if client is not None:
            await _discard(client)

    async def _set_up(self, client: _Client) -> None:
        jetstream = client.jetstream()
        # Creating what exists with the same settings changes nothing.
        await jetstream.add_stream(
            api.StreamConfig(
                name=STREAM,
                subjects=[SUBJECT_PREFIX + ">"],
                storage=api.StorageType.FILE,
                duplicate_window=_DUPLICATE_WINDOW_S,
                max_age=_KEEP_S,
                max_bytes=_MAX_BYTES,
            )
        )
        await jetstream.add_stream(
            api.StreamConfig(
                name=DEAD_STREAM,
                subjects=[_DEAD_PREFIX + ">"],
                storage=api.StorageType.FILE,
                max_bytes=_MAX_BYTES,
            )
        )
        subscription = await jetstream.pull_subscribe(
            SUBJECT_PREFIX + ">",
            durable=self.consumer,
            stream=STREAM,
            config=api.ConsumerConfig(
                ack_policy=api.AckPolicy.EXPLICIT,
                ack_wait=_ACK_WAIT_S,
                # Dead letters are decided on by the reader, which knows a poisonous message from
                # one whose dependency is lost.
                max_deliver=-1,
                max_ack_pending=_MAX_UNACKED,
            ),
        )
        self._client, self._jetstream, self._subscription = client, jetstream, subscription

    async def _pull(
        self, subscription: _PullSubscription, batch: int, wait_s: float
    ) -> list[_Message]:
        # Waiting is no call with an outcome: it goes past the edge's guard, whose timeout it may
        # exceed, and says nothing about the health of the edge.
        try:
            return await subscription.fetch(batch, timeout=wait_s)
        except TimeoutError:
            return []
        except (errors.Error, js_errors.Error, OSError) as error:
            raise self._failure(error) from error

    def _ready(self) -> _JetStream:
        if self._jetstream is None or not self.is_connected:
            raise EdgeFailedError(self._edge.policy.name, "not connected")
        return self._jetstream

    async def _guard(self, operation: Callable[[], Awaitable[T]]) -> T:
        async def mapped() -> T:
            try:
                return await operation()
            except TimeoutError:
                raise
            except (errors.Error, js_errors.Error, OSError) as error:
                raise self._failure(error) from error

        # Every operation here may be done twice: publishing carries a message id.
        return await self._edge.call(mapped, idempotent=True)

    def _failure(self, error: Exception) -> EdgeFailedError:
        return EdgeFailedError(self._edge.policy.name, f"{type(error).__name__}: {error}")

    async def _note_error(self, error: Exception) -> None:
        self._note(error)


class _JetStreamDelivery:
    """One message of a pull, with its acknowledgement."""

    def __init__(
        self,
        message: _Message,
        guard: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
    ) -> None:
        self._message = message
        self._guard = guard
        self.data = message.data
        self.times_delivered = message.metadata.num_delivered

    async def done(self) -> None:
        await self._guard(self._message.ack)

    async def again(self, after_s: float) -> None:
        await self._guard(lambda: self._message.nak(delay=after_s))

    async def give_up(self) -> None:
        await self._guard(self._message.term)

    async def keep(self) -> None:
        await self._guard(self._message.in_progress)


async def _discard(client: _Client) -> None:
    """Close a client that may be broken; its own errors no longer matter."""
    with contextlib.suppress(errors.Error, OSError, TimeoutError):
        async with asyncio.timeout(_GOODBYE_LIMIT_S):
            await client.close()
