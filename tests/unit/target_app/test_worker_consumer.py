"""Working off deliveries: lost dependencies are waited out, poison is buried."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec
import pytest

from target_app.edge import EdgeFailedError
from target_app.worker.consumer import MAX_DELIVERIES, Consumer
from target_app.worker.events import Event, PostCreated, decode_body


def payload(event_id: int, body: bytes = b"{}") -> bytes:
    return msgspec.json.encode(
        Event(event_id=event_id, kind="post.created", at=100.0 + event_id, body=msgspec.Raw(body))
    )


@dataclass
class Message:
    data: bytes
    times_delivered: int = 1
    said: list[str] = field(default_factory=list)
    stream_is_lost: bool = False

    async def done(self) -> None:
        if self.stream_is_lost:
            raise EdgeFailedError("worker-nats", "not connected")
        self.said.append("done")

    async def again(self, after_s: float) -> None:
        self.said.append("again")

    async def give_up(self) -> None:
        self.said.append("give up")

    async def keep(self) -> None:
        self.said.append("keep")


class Worker:
    """Handler and host in one: fails as often as told, and remembers everything."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.handled: list[int] = []
        self.errors: list[Exception] = []
        self.redeliveries = 0
        self.dead: list[str] = []
        self.buried: list[tuple[bytes, str]] = []
        self.in_hand: list[float | None] = []
        self.consumer = Consumer(self, self, bury=self.bury, sleep=self.sleep)

    async def handle(self, event: Event) -> None:
        self.in_hand.append(self.consumer.in_hand_since)
        if self.failures > 0:
            self.failures -= 1
            raise EdgeFailedError("worker-timeline", "refused")
        if bytes(event.body) != b"{}":
            decode_body(event, PostCreated)
        self.handled.append(event.event_id)

    async def bury(self, data: bytes, kind: str) -> None:
        self.buried.append((data, kind))

    async def sleep(self, duration_s: float) -> None:
        assert duration_s > 0

    def note_error(self, feature: str, error: Exception) -> None:
        self.errors.append(error)

    def note_redelivery(self) -> None:
        self.redeliveries += 1

    def note_dead_letter(self, kind: str) -> None:
        self.dead.append(kind)


def test_deliveries_are_worked_off_in_order_and_acknowledged() -> None:
    worker, messages = Worker(), [Message(payload(1)), Message(payload(2))]
    asyncio.run(worker.consumer.work_off(messages))
    assert worker.handled == [1, 2]
    assert [message.said for message in messages] == [["done"], ["done"]]


def test_a_lost_dependency_holds_the_message_and_those_behind_it() -> None:
    worker, messages = Worker(failures=3), [Message(payload(1)), Message(payload(2))]
    asyncio.run(worker.consumer.work_off(messages))
    assert worker.handled == [1, 2]
    assert messages[0].said == ["keep", "keep", "keep", "done"]
    assert messages[1].said == ["keep", "keep", "keep", "done"]
    assert len(worker.errors) == 3


def test_a_lost_dependency_never_makes_a_dead_letter() -> None:
    worker, message = Worker(failures=50), Message(payload(1), times_delivered=MAX_DELIVERIES)
    asyncio.run(worker.consumer.work_off([message]))
    assert worker.handled == [1]
    assert worker.dead == []


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(b"not json", "unknown", id="no event at all"),
        pytest.param(payload(1, b'{"post_id":"x"}'), "post.created", id="a body of another shape"),
    ],
)
def test_what_cannot_be_understood_is_buried_at_its_last_delivery(data: bytes, kind: str) -> None:
    worker = Worker()
    early = Message(data, times_delivered=MAX_DELIVERIES - 1)
    last = Message(data, times_delivered=MAX_DELIVERIES)
    asyncio.run(worker.consumer.work_off([early, last]))
    assert early.said == ["again"]
    assert last.said == ["give up"]
    assert worker.buried == [(data, kind)]
    assert worker.dead == [kind]


def test_poison_does_not_stop_what_comes_after_it() -> None:
    worker = Worker()
    asyncio.run(worker.consumer.work_off([Message(b"poison"), Message(payload(2))]))
    assert worker.handled == [2]


def test_a_lost_stream_leaves_the_rest_to_be_delivered_again() -> None:
    worker = Worker()
    messages = [Message(payload(1), stream_is_lost=True), Message(payload(2))]
    with pytest.raises(EdgeFailedError):
        asyncio.run(worker.consumer.work_off(messages))
    assert worker.handled == [1]
    assert messages[1].said == []


def test_the_event_in_hand_tells_how_far_behind_the_worker_is() -> None:
    worker = Worker()
    assert worker.consumer.in_hand_since is None
    asyncio.run(worker.consumer.work_off([Message(payload(1)), Message(payload(2))]))
    assert worker.in_hand == [101.0, 102.0]
    assert worker.consumer.in_hand_since is None


def test_messages_delivered_before_are_counted() -> None:
    worker = Worker()
    asyncio.run(
        worker.consumer.work_off([Message(payload(1)), Message(payload(2), times_delivered=2)])
    )
    assert worker.redeliveries == 1
