"""Working off deliveries: wait out a lost dependency, give up on what cannot be understood."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from target_app.edge import EdgeError
from target_app.worker.events import Event, decode_event

__all__ = ["MAX_DELIVERIES", "Consumer", "ConsumerHost", "Delivery", "Handler"]

# A message that has failed for its own sake this often is a dead letter.
MAX_DELIVERIES = 5

# Between two tries while a dependency is lost; also how often the stream is told that the
# messages in hand are still being worked on (it waits two seconds).
_RETRY_S = 0.5

_AGAIN_S = 0.2


class Delivery(Protocol):
    """One message from the stream."""

    data: bytes
    times_delivered: int

    async def done(self) -> None:
        """Acknowledge."""
        ...

    async def again(self, after_s: float) -> None:
        """Ask for the message again after some seconds."""
        ...

    async def give_up(self) -> None:
        """End deliveries of this message."""
        ...

    async def keep(self) -> None:
        """Say that it is still being worked on."""
        ...


class Handler(Protocol):
    """What is done with an event; must bear the same event twice."""

    async def handle(self, event: Event) -> None:
        """Work the event off.

        Raises EdgeError if a dependency is lost, ``msgspec.DecodeError`` if the event makes no
        sense.
        """
        ...


class ConsumerHost(Protocol):
    """What the consumer tells its process."""

    def note_error(self, feature: str, error: Exception) -> None:
        """Count and log an exception that was handled."""
        ...

    def note_redelivery(self) -> None:
        """Count a message that was delivered before."""
        ...

    def note_dead_letter(self, kind: str) -> None:
        """Count a message that was given up."""
        ...


class Consumer:
    """Works off deliveries one after the other, in the order of the stream.

    Without ``bury`` what cannot be understood is given up: another consumer of the stream keeps it.
    """

    def __init__(
        self,
        handler: Handler,
        host: ConsumerHost,
        *,
        bury: Callable[[bytes, str], Awaitable[None]] | None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        has_defect: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._handler = handler
        self._host = host
        self._bury = bury
        self._sleep = sleep
        self._has_defect = has_defect
        self._oldest_at: float | None = None

    @property
    def in_hand_since(self) -> float | None:
        """When the event in hand was written (seconds since the epoch), None if there is none."""
        return self._oldest_at

    async def work_off(self, deliveries: Sequence[Delivery]) -> None:
        """Handle and acknowledge each delivery.

        Returns when all are done. Raises EdgeError only if the stream itself is lost: the rest
        will be delivered again.
        """
        try:
            for place, delivery in enumerate(deliveries):
                await self._work_off_one(delivery, deliveries[place + 1 :])
        finally:
            self._oldest_at = None

    async def _work_off_one(self, delivery: Delivery, waiting: Sequence[Delivery]) -> None:
        if delivery.times_delivered > 1:
            self._host.note_redelivery()
        try:
            event = decode_event(delivery.data)
        except msgspec.DecodeError as error:
            await self._reject(delivery, "unknown", error)
            return
        self._oldest_at = event.at
        while True:
            try:
                await self._handler.handle(event)
            except EdgeError as error:
                # Not the message's fault: hold it, and what comes after it, until the dependency
                # is back. The order stays, and no delivery is counted against it.
                self._host.note_error("fanout", error)
                for held in (delivery, *waiting):
                    await held.keep()
                await self._sleep(_RETRY_S)
            except msgspec.DecodeError as error:
                await self._reject(delivery, event.kind, error)
                return
            else:
                await delivery.done()
                return

    async def _reject(self, delivery: Delivery, kind: str, error: Exception) -> None:
        self._host.note_error("events", error)
        if delivery.times_delivered < MAX_DELIVERIES or self._has_defect("poison_message"):
            await delivery.again(_AGAIN_S)
            return
        if self._bury is not None:
            await self._bury(delivery.data, kind)
            self._host.note_dead_letter(kind)
        await delivery.give_up()
