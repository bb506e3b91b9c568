"""The relay between outbox and stream: nothing is marked that the stream does not have."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from target_app.edge import EdgeError, EdgeFailedError
from target_app.worker.events import Event, decode_event, subject_of
from target_app.worker.outbox import Relay


def event(event_id: int) -> Event:
    return Event(event_id=event_id, kind="post.created", at=1.0, body=msgspec.Raw(b'{"a":1}'))


class Table:
    def __init__(self, *event_ids: int) -> None:
        self.waiting = [event(event_id) for event_id in event_ids]
        self.marked: list[int] = []

    async def unsent(self, limit: int) -> Sequence[Event]:
        return self.waiting[:limit]

    async def mark_sent(self, event_ids: Sequence[int]) -> None:
        self.marked.extend(event_ids)
        self.waiting = [each for each in self.waiting if each.event_id not in event_ids]


class Stream:
    def __init__(self, *refused: int, error: Exception | None = None) -> None:
        self.refused = set(refused)
        self.error = error or EdgeFailedError("worker-nats", "not connected")
        self.handed_over: list[int] = []

    async def publish(self, event: Event) -> None:
        self.handed_over.append(event.event_id)
        if event.event_id in self.refused:
            raise self.error


def test_what_waits_is_published_in_order_and_marked() -> None:
    table, stream = Table(1, 2, 3), Stream()
    assert asyncio.run(Relay(table, stream).move()) == 3
    assert stream.handed_over == [1, 2, 3]
    assert table.marked == [1, 2, 3]


def test_an_empty_outbox_costs_no_write() -> None:
    table, stream = Table(), Stream()
    assert asyncio.run(Relay(table, stream).move()) == 0
    assert table.marked == []


def test_only_a_batch_is_moved_at_a_time() -> None:
    table, stream = Table(1, 2, 3), Stream()
    assert asyncio.run(Relay(table, stream, batch=2).move()) == 2
    assert [each.event_id for each in table.waiting] == [3]


def test_an_event_that_the_stream_did_not_store_stays_in_the_outbox() -> None:
    table, stream = Table(1, 2, 3), Stream(2)
    with pytest.raises(EdgeError):
        asyncio.run(Relay(table, stream).move())
    assert table.marked == [1, 3]
    assert [each.event_id for each in table.waiting] == [2]


def test_a_lost_stream_marks_nothing() -> None:
    table, stream = Table(1, 2), Stream(1, 2)
    with pytest.raises(EdgeError):
        asyncio.run(Relay(table, stream).move())
    assert table.marked == []


def test_a_bug_in_publishing_is_not_taken_for_a_lost_stream() -> None:
    table, stream = Table(1), Stream(1, error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        asyncio.run(Relay(table, stream).move())
    assert table.marked == []


def test_an_event_survives_its_way_through_the_stream() -> None:
    sent = event(7)
    received = decode_event(msgspec.json.encode(sent))
    assert (received.event_id, received.kind, received.at) == (7, "post.created", 1.0)
    assert bytes(received.body) == b'{"a":1}'
    assert subject_of(sent) == "events.post.created"
