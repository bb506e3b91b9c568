"""Live updates without a network: who hears of what, and what a slow socket loses."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from target_app.live.hub import QUEUE_CAPACITY, Hub, Listener
from target_app.live.ticks import LikeTick, NotificationTick, PostTick, Tick, TickQueue, fold
from target_app.worker.events import Event

ALICE, BOB, CAROL = 1, 2, 3


def event(kind: str, **body: Any) -> Event:
    named = {{"from_": "from", "to_": "to"}.get(key, key): value for key, value in body.items()}
    return Event(1, kind, 0.0, msgspec.Raw(json.dumps(named).encode()))


class Stage:
    """A hub with Alice listening, who follows Bob."""

    def __init__(self) -> None:
        self.dropped = 0
        self.hub = Hub(self.note_dropped)
        self.alice = Listener(ALICE)
        self.alice.set_ties([BOB], [])
        self.hub.join(self.alice)

    def note_dropped(self) -> None:
        self.dropped += 1

    def posted(self, author_id: int, **more: Any) -> None:
        self.hub.hear(event("post.created", post_id=10, author_id=author_id, **more))

    def heard(self) -> list[object]:
        return list(self.alice.queue.take()[0])


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_post_is_heard_of_by_followers_only(stage: Stage) -> None:
    stage.posted(CAROL)
    assert stage.heard() == []
    stage.posted(BOB)
    assert stage.heard() == [PostTick(10)]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"reply_to": 4}, id="a reply"),
        pytest.param({"state": 2}, id="waiting for review"),
        pytest.param({"state": "pending_review"}, id="waiting for review, as a word"),
    ],
)
def test_what_is_in_no_feed_is_not_heard_of(stage: Stage, more: dict[str, Any]) -> None:
    stage.posted(BOB, **more)
    assert stage.heard() == []


def test_a_follow_and_a_mute_count_from_their_event_on(stage: Stage) -> None:
    stage.hub.hear(event("follow.added", from_=ALICE, to_=CAROL))
    stage.posted(CAROL)
    stage.hub.hear(event("mute.added", from_=ALICE, to_=CAROL))
    stage.posted(CAROL)
    stage.hub.hear(event("mute.removed", from_=ALICE, to_=CAROL))
    stage.hub.hear(event("follow.removed", from_=ALICE, to_=CAROL))
    stage.posted(CAROL)
    assert stage.heard() == [PostTick(10)]


def test_a_follow_in_the_photos_app_is_none_here(stage: Stage) -> None:
    stage.hub.hear(event("follow.added", from_=ALICE, to_=CAROL, app=1))
    stage.posted(CAROL)
    assert stage.heard() == []


def test_likes_are_ticked_for_watched_posts_of_one_s_own_and_of_those_followed(
    stage: Stage,
) -> None:
    stage.alice.watched = frozenset({10, 11, 12})
    for post_id, author_id in ((10, BOB), (11, ALICE), (12, CAROL), (13, BOB)):
        stage.hub.hear(event("like.added", from_=CAROL, to_=post_id, author_id=author_id))
    stage.hub.hear(event("like.removed", from_=CAROL, to_=10, author_id=BOB))
    # Not of 12: that it is there, and liked, is no stranger's business.
    assert stage.heard() == [LikeTick(10, 1), LikeTick(11, 1), LikeTick(10, -1)]


def test_a_notification_is_told_to_every_socket_of_its_user(stage: Stage) -> None:
    second = Listener(ALICE)
    second.set_ties([], [])
    stage.hub.join(second)
    stage.hub.notify(ALICE)
    stage.hub.notify(BOB)
    assert stage.heard() == list(second.queue.take()[0]) == [NotificationTick()]


def test_who_has_left_hears_nothing(stage: Stage) -> None:
    stage.hub.leave(stage.alice)
    stage.posted(BOB)
    assert (stage.heard(), len(stage.hub)) == ([], 0)


def test_after_a_gap_nothing_is_heard_until_the_ties_are_known_again(stage: Stage) -> None:
    stage.posted(BOB)
    stage.alice.outdate()
    stage.posted(BOB)
    assert stage.heard() == []
    # What changes while the ties are being read is not undone by what was read.
    stage.hub.hear(event("follow.removed", from_=ALICE, to_=BOB))
    stage.hub.hear(event("follow.added", from_=ALICE, to_=CAROL))
    stage.alice.set_ties([BOB], [])
    stage.posted(BOB)
    stage.posted(CAROL)
    assert stage.heard() == [PostTick(10)]


def test_a_slow_socket_loses_the_oldest_ticks_and_that_is_counted_and_said_once(
    stage: Stage,
) -> None:
    for post_id in range(QUEUE_CAPACITY + 3):
        stage.hub.hear(event("post.created", post_id=post_id, author_id=BOB))
    ticks, has_lost = stage.alice.queue.take()
    assert list(ticks) == [PostTick(post_id) for post_id in range(3, QUEUE_CAPACITY + 3)]
    assert (has_lost, stage.dropped) == (True, 3)
    stage.posted(BOB)
    assert stage.alice.queue.take() == ([PostTick(10)], False)


def test_an_event_that_makes_no_sense_is_an_error_of_its_own(stage: Stage) -> None:
    with pytest.raises(msgspec.DecodeError):
        stage.hub.hear(event("post.created", author_id="nobody"))


def test_ticks_are_folded_into_one_message_of_a_type() -> None:
    ticks: list[Tick] = [
        PostTick(7),
        LikeTick(3, 1),
        PostTick(9),
        PostTick(7),
        LikeTick(3, 1),
        LikeTick(4, 1),
        LikeTick(4, -1),
        NotificationTick(),
        NotificationTick(),
    ]
    assert [json.loads(msgspec.json.encode(each)) for each in fold(ticks)] == [
        {"type": "posts", "count": 2, "newest": 9},
        {"type": "likes", "post_id": 3, "delta": 2},
        {"type": "notifications", "count": 2},
    ]


def test_nothing_folds_to_nothing() -> None:
    assert fold(TickQueue(1).take()[0]) == []
