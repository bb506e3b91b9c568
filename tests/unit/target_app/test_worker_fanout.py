"""What events do to timelines: who is pushed to, who is not, and what is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from target_app.edge import EdgeFailedError
from target_app.worker.events import Event
from target_app.worker.fanout import CHUNK, EventHandler, SeenIds
from target_app.worker.metrics import WorkerMetrics
from target_app.worker.progress import Progress
from target_app.worker.trends import TagTrends

NOW = 1_700_000_000.0
THRESHOLD = 1_000


class HandClock:
    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return NOW


class Graph:
    """Author 1 has as many followers as told: the users 1001, 1002 and so on."""

    def __init__(self, followers: int) -> None:
        self.follower_ids = list(range(1001, 1001 + followers))

    async def count(self, user_id: int) -> int:
        return len(self.follower_ids)

    async def chunk(self, user_id: int, *, after: int, limit: int) -> Sequence[int]:
        return [each for each in self.follower_ids if each > after][:limit]


class Timelines:
    def __init__(self) -> None:
        self.pushes: list[tuple[int, list[int]]] = []
        self.dropped: list[int] = []
        self.announced: list[tuple[int, int]] = []
        self.hidden: list[int] = []
        self.affinities: list[tuple[int, int]] = []
        self.is_lost = False

    async def push(self, post_id: int, user_ids: Sequence[int]) -> int:
        self.pushes.append((post_id, list(user_ids)))
        return len(user_ids)

    async def announce(self, author_id: int, post_id: int) -> None:
        self.announced.append((author_id, post_id))

    async def hide_posts(self, post_ids: Sequence[int], *, now: float) -> None:
        self.hidden.extend(post_ids)

    async def drop(self, user_ids: Sequence[int]) -> None:
        self.dropped.extend(user_ids)

    async def add_affinity(self, user_id: int, author_id: int) -> None:
        if self.is_lost:
            raise EdgeFailedError("worker-timeline", "refused")
        self.affinities.append((user_id, author_id))


class Scene:
    def __init__(self, followers: int = 0) -> None:
        self.timelines = Timelines()
        self.trends = TagTrends()
        self.handler = EventHandler(
            followers=Graph(followers),
            timelines=self.timelines,
            trends=self.trends,
            metrics=WorkerMetrics(CollectorRegistry()),
            clock=HandClock(),
            celebrity_threshold=lambda: THRESHOLD,
        )

    def happens(self, kind: str, event_id: int = 1, **body: object) -> None:
        raw = msgspec.Raw(msgspec.json.encode(body))
        event = Event(event_id=event_id, kind=kind, at=NOW, body=raw)
        asyncio.run(self.handler.handle(event))

    def tags(self) -> dict[str, int]:
        return {line.tag: line.uses for line in self.trends.top(10, now=NOW)}


def test_a_post_is_pushed_to_its_author_and_all_followers() -> None:
    scene = Scene(followers=3)
    scene.happens("post.created", post_id=9, author_id=1, text="hi")
    assert scene.timelines.pushes == [(9, [1]), (9, [1001, 1002, 1003])]


@pytest.mark.parametrize(
    ("followers", "chunks"),
    [
        pytest.param(0, [], id="nobody"),
        pytest.param(CHUNK - 1, [CHUNK - 1], id="one less than a chunk"),
        pytest.param(CHUNK, [CHUNK], id="exactly a chunk"),
        pytest.param(CHUNK + 1, [CHUNK, 1], id="one more than a chunk"),
        pytest.param(THRESHOLD - 1, [CHUNK, CHUNK - 1], id="just below a celebrity"),
        pytest.param(THRESHOLD, [], id="a celebrity is not pushed"),
    ],
)
def test_followers_are_reached_in_chunks_up_to_the_celebrity_threshold(
    followers: int, chunks: list[int]
) -> None:
    scene = Scene(followers)
    scene.happens("post.created", post_id=9, author_id=1, text="hi")
    to_followers = [user_ids for _, user_ids in scene.timelines.pushes[1:]]
    assert [len(user_ids) for user_ids in to_followers] == chunks
    reached = [user_id for user_ids in to_followers for user_id in user_ids]
    assert len(set(reached)) == len(reached) == sum(chunks)
    # What is not pushed is announced, so that readers pull it.
    assert scene.timelines.announced == ([(1, 9)] if followers >= THRESHOLD else [])


def test_a_deleted_post_leaves_the_pages_that_are_kept() -> None:
    scene = Scene()
    scene.happens("post.deleted", post_id=9, author_id=1)
    assert scene.timelines.hidden == [9]


def test_a_reply_stays_in_its_thread_but_its_tags_count() -> None:
    scene = Scene(followers=3)
    scene.happens("post.created", post_id=9, author_id=1, text="#yes", reply_to=8)
    assert scene.timelines.pushes == []
    assert scene.tags() == {"yes": 1}


@pytest.mark.parametrize("kind", ["follow.added", "follow.removed"])
def test_a_change_of_follows_drops_the_follower_s_timeline(kind: str) -> None:
    scene = Scene()
    scene.happens(kind, **{"from": 5, "to": 6})
    assert scene.timelines.dropped == [5]


def test_a_block_drops_both_timelines() -> None:
    scene = Scene()
    scene.happens("block.added", **{"from": 5, "to": 6})
    assert scene.timelines.dropped == [5, 6]


def test_the_end_of_a_mute_drops_the_timeline_that_may_have_been_built_meanwhile() -> None:
    scene = Scene()
    scene.happens("mute.added", **{"from": 5, "to": 6})
    assert scene.timelines.dropped == []
    scene.happens("mute.removed", **{"from": 5, "to": 6})
    assert scene.timelines.dropped == [5]


def test_a_redelivered_event_is_counted_once() -> None:
    scene = Scene()
    for _ in range(3):
        scene.happens("post.created", 1, post_id=9, author_id=1, text="#once")
        scene.happens("like.added", 2, **{"from": 5, "to": 9, "author_id": 1})
    assert scene.tags() == {"once": 1}
    assert scene.timelines.affinities == [(5, 1)]


def test_a_like_that_could_not_be_counted_is_counted_when_it_comes_again() -> None:
    scene = Scene()
    scene.timelines.is_lost = True
    with pytest.raises(EdgeFailedError):
        scene.happens("like.added", **{"from": 5, "to": 9, "author_id": 1})
    scene.timelines.is_lost = False
    scene.happens("like.added", **{"from": 5, "to": 9, "author_id": 1})
    assert scene.timelines.affinities == [(5, 1)]


def test_an_event_of_an_unknown_kind_changes_nothing() -> None:
    scene = Scene()
    scene.happens("like.removed", **{"from": 5, "to": 9})
    assert scene.timelines.pushes == []
    assert scene.timelines.dropped == []


def test_a_body_of_another_shape_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        Scene().happens("post.created", post_id="nine")


def test_the_oldest_ids_are_forgotten_first() -> None:
    seen = SeenIds(2)
    for event_id in (1, 2, 3):
        seen.add(event_id)
    assert [event_id in seen for event_id in (1, 2, 3)] == [False, True, True]


@pytest.mark.parametrize(
    ("looked_at", "age_s", "in_hand_since", "expected"),
    [
        pytest.param(100.0, 0.0, None, 0.0, id="nothing waits"),
        pytest.param(100.0, 7.0, None, 7.0, id="the outbox is behind"),
        pytest.param(100.0, 0.0, 91.0, 9.0, id="the event in hand is old"),
        pytest.param(100.0, 7.0, 98.0, 7.0, id="the older of both counts"),
        pytest.param(98.5, 0.0, None, 0.0, id="one look missed is no news"),
        pytest.param(90.0, 2.0, None, 12.0, id="an outbox out of sight counts as standing still"),
        pytest.param(None, 0.0, None, 0.0, id="just started"),
    ],
)
def test_the_lag_is_the_age_of_what_may_not_have_arrived(
    looked_at: float | None, age_s: float, in_hand_since: float | None, expected: float
) -> None:
    progress = Progress()
    if looked_at is not None:
        progress.note_outbox(age_s, now=looked_at)
    assert progress.lag_s(now=100.0, in_hand_since=in_hand_since) == pytest.approx(expected)


def test_a_post_that_waits_is_its_authors_alone_until_it_has_been_reviewed() -> None:
    scene = Scene(followers=2)
    post = {"post_id": 9, "author_id": 1, "text": "hi #tag"}
    scene.happens("post.created", 1, **post, state=2)
    assert (scene.timelines.pushes, scene.tags()) == ([(9, [1])], {})
    scene.happens("post.reviewed", 2, **post, state=1)
    assert scene.timelines.pushes[1:] == [(9, [1]), (9, [1001, 1002])]
    assert scene.tags() == {"tag": 1}


def test_a_post_that_a_review_took_away_is_pushed_to_nobody() -> None:
    scene = Scene(followers=2)
    scene.happens("post.reviewed", post_id=9, author_id=1, text="hi #tag", state=3)
    assert (scene.timelines.pushes, scene.tags()) == ([], {})
