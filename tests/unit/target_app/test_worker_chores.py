"""What events mean beyond timelines, and push messages that are sent once and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest
from prometheus_client import CollectorRegistry, Counter

from target_app.edge import EdgeShedError
from target_app.edge.http import HttpAnswer
from target_app.worker.chores import ChoreHandler
from target_app.worker.events import Event
from target_app.worker.push import PushSender, TokenBucket


class Graph:
    def __init__(self) -> None:
        self.done: list[tuple[str, object]] = []

    async def join(self, user_id: int, *, imports: bool) -> None:
        self.done.append(("join", (user_id, imports)))

    async def forget_user(self, user_id: int) -> None:
        self.done.append(("forget", user_id))

    async def invalidate(
        self,
        *,
        user_ids: Sequence[int] = (),
        post_ids: Sequence[int] = (),
        handles: Sequence[str] = (),
    ) -> None:
        self.done.append(("invalidate", (*user_ids, *post_ids, *handles)))


class Notes:
    """Knows each event and user once, as the table does."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str, int]] = []
        self.counted: list[int] = []
        self._seen: set[tuple[int, int]] = set()

    async def notify(
        self, user_id: int, event_id: int, kind: str, actor_id: int, post_id: int | None
    ) -> bool:
        if (event_id, user_id) in self._seen or user_id == actor_id:
            return False
        self._seen.add((event_id, user_id))
        self.told.append((user_id, kind, actor_id))
        return True

    async def mentioned(self, handles: Sequence[str]) -> Sequence[int]:
        return [{"anna": 7, "b.ob": 8}[each] for each in handles if each in ("anna", "b.ob")]

    async def count_again(self, post_id: int) -> None:
        self.counted.append(post_id)


class Scene:
    def __init__(self, *defects: str) -> None:
        self.graph, self.notes, self.said = Graph(), Notes(), list[int]()
        self.handler = ChoreHandler(self.graph, self.notes, self._say, lambda word: word in defects)

    async def _say(self, user_id: int) -> None:
        self.said.append(user_id)

    def handle(self, kind: str, event_id: int = 1, **body: Any) -> None:
        event = Event(event_id, kind, 0.0, msgspec.Raw(msgspec.json.encode(body)))
        asyncio.run(self.handler.handle(event))


def test_who_joins_is_followed_by_those_who_waited() -> None:
    scene = Scene()
    scene.handle("account.joined", user_id=5, handle="anna", import_follows=True)
    assert scene.graph.done == [("join", (5, True))]


def test_a_changed_account_is_dropped_from_the_caches_by_id_and_both_names() -> None:
    scene = Scene()
    scene.handle("account.changed", user_id=5, handle="new", old_handle="old")
    assert scene.graph.done == [("invalidate", (5, "new", "old"))]


def test_a_deleted_account_is_forgotten() -> None:
    scene = Scene()
    scene.handle("account.deleted", user_id=5, handle="anna", old_handle="anna")
    assert scene.graph.done == [("forget", 5), ("invalidate", (5, "anna"))]


def test_replies_reposts_and_mentions_are_told_of_once_each() -> None:
    scene = Scene()
    text = "hello @anna, mail me at x@b.ob, @b.ob @b.ob"
    for _ in range(2):
        scene.handle(
            "post.created", post_id=3, author_id=1, text=text, reply_to=2, parent_author_id=4
        )
    assert scene.notes.told == [(4, "reply", 1), (7, "mention", 1), (8, "mention", 1)]
    assert scene.said == [4, 7, 8]
    scene.handle(
        "post.created", 2, post_id=5, author_id=1, text="", repost_of=2, parent_author_id=4
    )
    assert scene.notes.told[-1] == (4, "repost", 1)


def test_nobody_is_told_of_a_post_that_waits_for_review_until_it_is_shown() -> None:
    scene = Scene()
    post = {"post_id": 3, "author_id": 1, "text": "@anna"}
    scene.handle("post.created", state=2, **post)
    assert scene.notes.told == []
    scene.handle("post.reviewed", 2, state=1, **post)
    assert scene.notes.told == [(7, "mention", 1)]


def test_follows_and_likes_of_the_other_app_are_no_news_here() -> None:
    scene = Scene()
    scene.handle("follow.added", **{"from": 1, "to": 2, "app": 1})
    scene.handle("like.added", **{"from": 1, "to": 9, "author_id": 2, "app": 1})
    assert scene.notes.told == []
    scene.handle("follow.added", **{"from": 1, "to": 2, "app": 2})
    scene.handle("like.added", 2, **{"from": 1, "to": 9, "author_id": 2, "app": 2})
    assert scene.notes.told == [(2, "follow", 1), (2, "like", 1)]


@pytest.mark.parametrize(("defects", "counted"), [((), []), (("count_drift",), [9, 9])])
def test_a_like_that_is_delivered_again_is_counted_again_with_count_drift_only(
    defects: tuple[str, ...], counted: list[int]
) -> None:
    scene = Scene(*defects)
    for _ in range(2):
        scene.handle("like.added", **{"from": 1, "to": 9, "author_id": 2, "app": 2})
    assert scene.notes.counted == counted


class HandClock:
    now = 1000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class Table:
    """Notifications that are not pushed, the oldest first."""

    def __init__(self, *moments: float) -> None:
        self.rows = [
            {"notification_id": number, "user_id": 10 + number, "kind": "like", "at": at}
            for number, at in enumerate(moments)
        ]

    async def fetch(self, *_: object) -> list[dict[str, Any]]:
        return list(self.rows)

    async def execute(self, _query: str, done: list[int], **_options: object) -> str:
        self.rows = [row for row in self.rows if row["notification_id"] not in done]
        return ""


class Sink:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.answers: list[int] = []

    async def request(self, _method: str, _path: str, *, json: Any, **_: object) -> HttpAnswer:
        status = self.answers.pop(0) if self.answers else 200
        if status == 429:
            raise EdgeShedError("worker-push", "busy", retry_after_s=1)
        self.sent.append(json)
        return HttpAnswer(status, {}, b"{}")


class Pushes:
    def __init__(self, table: Table, burst: float = 100.0) -> None:
        self.table, self.sink, self.clock = table, Sink(), HandClock()
        self.results = Counter("p", "p", ["result"], registry=CollectorRegistry())
        self.sender = PushSender(
            cast("Any", table),
            cast("Any", self.sink),
            TokenBucket(burst, burst, self.clock),
            self.clock,
            self.results,
        )

    def send(self) -> int:
        return asyncio.run(self.sender.send_some())

    def count(self, result: str) -> float:
        return self.results.labels(result)._value.get()


def test_each_notification_is_pushed_once_with_a_key_of_its_own() -> None:
    pushes = Pushes(Table(990.0, 995.0))
    assert pushes.send() == 2
    assert pushes.send() == 0
    assert [each["dedup_key"] for each in pushes.sink.sent] == ["n0", "n1"]
    assert [each["expires_at"] for each in pushes.sink.sent] == [1590.0, 1595.0]
    assert pushes.count("delivered") == 2


def test_what_is_too_old_is_not_sent_and_a_device_that_is_gone_not_again() -> None:
    pushes = Pushes(Table(300.0, 995.0))
    pushes.sink.answers = [410]
    assert pushes.send() == 2
    assert [each["device"] for each in pushes.sink.sent] == ["11"]
    assert (pushes.count("expired"), pushes.count("gone")) == (1, 1)
    assert pushes.table.rows == []


def test_what_the_service_is_too_busy_for_is_sent_later() -> None:
    pushes = Pushes(Table(995.0, 996.0))
    pushes.sink.answers = [200, 429]
    assert pushes.send() == 1
    assert [row["notification_id"] for row in pushes.table.rows] == [1]
    assert pushes.send() == 1
    assert [each["dedup_key"] for each in pushes.sink.sent] == ["n0", "n1"]


def test_no_more_are_sent_than_the_bucket_lets_through() -> None:
    pushes = Pushes(Table(*[995.0] * 5), burst=2.0)
    assert pushes.send() == 2
    assert pushes.send() == 0
    pushes.clock.now += 0.5
    assert pushes.send() == 1
