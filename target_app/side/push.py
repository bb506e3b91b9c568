"""A sink that stands for a push service: it loses nothing, and keeps books of what it was sent."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.clock import Clock
from target_app.serving import ServiceError, ServiceRoute, json_answer, read_json
from target_app.side.settings import SideSettings

__all__ = ["PushSink"]

# Duplicates are told from this many messages back.
_REMEMBERED = 100_000

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class _Message(msgspec.Struct):
    device: _Name
    dedup_key: _Name
    expires_at: float
    body: str


class PushSink:
    """Takes messages for devices, some of which are gone, and is sometimes busy.

    Which devices are gone depends on the seed alone; the rest is random, from the same seed.
    """

    def __init__(self, settings: SideSettings, *, seed: int, clock: Clock) -> None:
        self._settings = settings
        self._seed = seed
        self._clock = clock
        self._random = random.Random(seed)
        self._books: Counter[str] = Counter()
        self._times: OrderedDict[str, int] = OrderedDict()

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes of the sink."""
        return (
            ServiceRoute("POST", "/push/send", self.send, 2, "push"),
            ServiceRoute("GET", "/push/ledger", self.show_ledger, 3, "push"),
        )

    async def send(self, request: Request) -> Response:
        """Deliver a message: 200; 410 if the device is gone, 429 while busy.

        A message that comes after it expired is dropped, as a push service does: 200, booked late.
        """
        message = await read_json(request, _Message)
        if self._settings.push_latency_s > 0:
            await asyncio.sleep(self._random.expovariate(1 / self._settings.push_latency_s))
        if random.Random(f"{self._seed} {message.device}").random() < self._settings.gone_ratio:
            self._books["refused"] += 1
            raise ServiceError(410, "gone", f"no device {message.device!r} any more")
        if self._random.random() < self._settings.busy_ratio:
            self._books["refused"] += 1
            raise ServiceError(429, "busy", "too many messages", {"Retry-After": "1"})
        return json_answer(request, {"result": self._book(message)})

    async def show_ledger(self, request: Request) -> Response:
        """Return what was delivered, how much of it again, and what came late or was refused."""
        names = ("delivered", "duplicated", "late", "refused")
        body = {name: self._books[name] for name in names}
        key = request.query_params.get("dedup_key")
        if key is not None:
            body["times"] = self._times.get(key, 0)
        return json_answer(request, body)

    def _book(self, message: _Message) -> str:
        if self._clock.wall() > message.expires_at:
            self._books["late"] += 1
            return "expired"
        times = self._times.pop(message.dedup_key, 0) + 1
        self._times[message.dedup_key] = times
        if len(self._times) > _REMEMBERED:
            self._times.popitem(last=False)
        self._books["delivered" if times == 1 else "duplicated"] += 1
        return "delivered" if times == 1 else "duplicate"
