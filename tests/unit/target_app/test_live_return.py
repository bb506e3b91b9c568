"""What one socket is told, and when the clients of a restarted gateway come back."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from target_app.clock import SystemClock
from target_app.edge import EdgeFailedError, HttpAnswer
from target_app.gateway.live import LiveUpdates
from target_app.live.hub import QUEUE_CAPACITY, Hub, Listener
from target_app.live.ticks import PostTick

SOCKETS = 2_000
TOKEN_EXPIRED = 4401


class Source:
    is_connected = True
    is_current = True

    async def listen(self) -> None: ...


class Graph:
    is_lost = False

    async def request(self, method: str, path: str, **_: object) -> HttpAnswer:
        if self.is_lost:
            raise EdgeFailedError("gw-graph", "lost")
        return HttpAnswer(200, {}, b'{"ids":[5],"next_after":null}')


class Stage:
    """Live updates over fakes, and a socket of which all is kept."""

    def __init__(self) -> None:
        self.defects: set[str] = set()
        self.level_2 = False
        self.is_on = True
        self.source, self.graph, self.hub = Source(), Graph(), Hub(lambda: None)
        self.sent: list[dict[str, Any]] = []
        self.closed: list[int] = []
        service = SimpleNamespace(
            registry=CollectorRegistry(),
            has_defect=self.defects.__contains__,
            flags=SimpleNamespace(is_on=lambda _: self.is_on),
            knobs=SimpleNamespace(is_off=lambda _: self.level_2),
            clock=SystemClock(),
            note_error=lambda *_: None,
        )
        context: Any = SimpleNamespace(service=service, sessions=None, graph=self.graph)
        self.live = LiveUpdates(context, hub=self.hub, source=self.source, random=Random(7))

    async def send_text(self, text: str) -> None:
        self.sent.append(json.loads(text))

    async def close(self, code: int, reason: str) -> None:
        self.closed.append(code)

    def told(self, listener: Listener) -> list[str]:
        """Serve a socket until its token expires, and return the types of what it was sent."""
        websocket: Any = self
        asyncio.run(self.live._tell(websocket, listener, limit_s=0.01))
        return [each["type"] for each in self.sent]

    def peak_per_s(self) -> float:
        """Return the most clients that come back within a tenth of a second, as a rate."""
        slots = Counter(self.live._wait_ms() // 100 for _ in range(SOCKETS))
        return 10.0 * max(slots.values())


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_socket_is_told_what_happened_and_once_that_something_is_missing(stage: Stage) -> None:
    listener = Listener(1)
    for post_id in range(QUEUE_CAPACITY + 2):
        listener.queue.put(PostTick(post_id))
    assert stage.told(listener) == ["hello", "posts", "resync"]
    assert stage.sent[0]["mode"] == "live"
    assert stage.sent[1] == {"type": "posts", "count": QUEUE_CAPACITY, "newest": QUEUE_CAPACITY + 1}
    assert stage.closed == [TOKEN_EXPIRED]
    assert listener.is_current


@pytest.mark.parametrize("what", ["stream", "worker", "graph", "knob", "flag"])
def test_a_socket_that_hears_of_nothing_is_told_to_poll(stage: Stage, what: str) -> None:
    stage.source.is_connected = what != "stream"
    stage.source.is_current = what != "worker"
    stage.graph.is_lost = what == "graph"
    stage.level_2 = what == "knob"
    stage.is_on = what != "flag"
    listener = Listener(1)
    listener.queue.wake()
    stage.told(listener)
    assert stage.sent[0]["mode"] == "poll"


def test_two_thousand_sockets_come_back_at_about_a_hundred_a_second(stage: Stage) -> None:
    for user_id in range(SOCKETS):
        stage.hub.join(Listener(user_id))
    assert stage.peak_per_s() < 250


def test_with_the_defect_thundering_reconnect_they_all_come_at_once(stage: Stage) -> None:
    for user_id in range(SOCKETS):
        stage.hub.join(Listener(user_id))
    stage.defects.add("thundering_reconnect")
    assert stage.peak_per_s() == 10 * SOCKETS
