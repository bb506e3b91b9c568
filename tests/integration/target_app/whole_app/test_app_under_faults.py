"""What a client sees while an edge is broken for real, and how soon all is well again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import nats
import pytest

pytestmark = pytest.mark.integration

# The cool-down of a breaker (1 s), three probes, a reconnection, and a machine that does other
# work too.
RECOVERY_LIMIT_S = 4.0
# A worker that has fallen behind by more than 5 s says so.
LAG_LIMIT_S = 5.0

Break = Callable[[Any], AbstractContextManager[None]]


@pytest.fixture
def reader(app: Any, until: Any) -> Any:
    """Return somebody with a feed of a few posts, who has read it, once all breakers are closed."""
    author, reader = app.newcomer(), app.newcomer()
    reader.follow(author)
    post_id = author.post("before #all")
    until(lambda: reader.feed().is_full and post_id in reader.feed_ids())
    until(lambda: reader.get("/v1/trending").is_full)
    until(lambda: app.log_in(reader.handle).token)
    return reader


def refused(answer: Any) -> bool:
    return answer.status == 503 and int(answer.headers.get("retry-after", 0)) >= 1


def test_without_timelines_feeds_are_pulled_marked_and_soon_full_again(
    app: Any, reader: Any, until: Any
) -> None:
    shown = reader.feed_ids()
    with app.lost("feed-timeline"):
        for _ in range(40):
            answer = reader.feed()
            assert answer.status == 200
            assert answer.degraded == "feed;mode=pull;cause=feed-timeline"
            assert answer.body["degraded"] == ["feed;mode=pull;cause=feed-timeline"]
            assert [each["id"] for each in answer.body["items"]] == shown
            assert "etag" not in answer.headers
        trending = reader.get("/v1/trending")
        assert (trending.status, trending.degraded.split(";")[0]) == (200, "trending")
    assert until(lambda: reader.feed().is_full) < RECOVERY_LIMIT_S
    assert until(lambda: reader.get("/v1/trending").is_full) < RECOVERY_LIMIT_S


def test_timelines_that_never_answer_cost_little_time(app: Any, reader: Any, until: Any) -> None:
    with app.toxic("feed-timeline", "timeout", timeout=0):
        answers = [reader.feed() for _ in range(30)]
    assert {answer.status for answer in answers} == {200}
    assert all(answer.degraded.startswith("feed;mode=pull") for answer in answers)
    # The breaker opens after 20 calls of 150 ms; from then on nobody waits for the timelines.
    assert sorted(answer.took_s for answer in answers[-5:])[2] < 0.15
    assert until(lambda: reader.feed().is_full) < RECOVERY_LIMIT_S


def test_without_the_graph_the_last_page_is_shown_and_writes_are_refused(
    app: Any, reader: Any, until: Any
) -> None:
    shown = reader.feed_ids()
    with app.lost("gw-graph", "feed-graph", "worker-graph"):
        answer = reader.feed()
        assert answer.degraded.startswith("feed;mode=cached;cause=feed-graph;age=")
        assert [each["id"] for each in answer.body["items"]] == shown
        assert reader.get("/v1/me").is_full
        assert refused(reader.send("now?"))
        assert refused(reader.get(f"/v1/posts/{shown[0]}"))
        assert refused(reader.get(f"/v1/users/{reader.handle}"))
    assert until(lambda: reader.feed().is_full) < RECOVERY_LIMIT_S
    assert until(lambda: reader.send("now!").status == 201) < RECOVERY_LIMIT_S


def test_a_kept_page_never_shows_somebody_who_was_blocked_since(
    app: Any, reader: Any, until: Any
) -> None:
    author = app.newcomer()
    reader.follow(author)
    post_id = author.post()
    until(lambda: post_id in reader.feed_ids())
    reader.block(author)
    with app.lost("gw-graph", "feed-graph", "worker-graph"):
        answer = reader.feed()
        assert refused(answer) or post_id not in [each["id"] for each in answer.body["items"]]
    until(lambda: reader.feed().is_full)


def test_without_the_feed_service_the_newest_posts_come_from_the_graph(
    app: Any, reader: Any, until: Any
) -> None:
    shown = reader.feed_ids()
    with app.lost("gw-feed"):
        answer = reader.feed()
        assert (answer.status, answer.degraded) == (200, "feed;mode=recency;cause=gw-feed")
        assert [each["id"] for each in answer.body["items"]] == shown
        assert reader.get("/v1/trending").degraded.startswith("trending;mode=stale;cause=gw-feed")
    assert until(lambda: reader.feed().is_full) < RECOVERY_LIMIT_S


def test_without_identity_who_is_logged_in_stays_so(app: Any, reader: Any, until: Any) -> None:
    credentials = {"handle": reader.handle, "password": "launch-day"}
    with app.lost("gw-identity"):
        assert refused(app.call("POST", "/v1/sessions", credentials))
        assert reader.get("/v1/me").is_full
        assert reader.feed().is_full
        assert reader.send("still here").status == 201
    healthy = until(lambda: app.call("POST", "/v1/sessions", credentials).status == 200)
    assert healthy < RECOVERY_LIMIT_S


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda app: app.lost("worker-nats"), id="stream down"),
        pytest.param(lambda app: app.toxic("worker-nats", "reset_peer", timeout=0), id="resets"),
        pytest.param(lambda app: app.toxic("worker-nats", "timeout", timeout=0), id="silence"),
        pytest.param(lambda app: app.lost("worker-timeline"), id="timelines down"),
        pytest.param(lambda app: app.lost("worker-graph"), id="graph down"),
        pytest.param(lambda app: app.lost("worker-pg"), id="outbox down"),
    ],
)
def test_posting_goes_on_and_fan_out_catches_up(
    app: Any, reader: Any, until: Any, broken: Break
) -> None:
    author = app.newcomer()
    reader.follow(author)
    first_id = author.post()
    until(lambda: first_id in reader.feed_ids() and reader.feed().is_full)
    until(lambda: app.metric("worker", "app_outbox_pending") == 0)
    reader.feed()
    post_ids = []
    with broken(app):
        for _ in range(10):
            # 201 is all that a client is told: durable, whatever becomes of the stream.
            post_ids.append(author.post())
            time.sleep(0.1)
    waited_s = until(lambda: set(post_ids) <= set(reader.feed_ids()))
    assert waited_s < RECOVERY_LIMIT_S
    shown = reader.feed_ids()
    assert len(shown) == len(set(shown))
    assert until(lambda: reader.feed().is_full) < RECOVERY_LIMIT_S
    assert until(lambda: app.metric("worker", "app_outbox_pending") == 0) < RECOVERY_LIMIT_S
    assert app.metric("worker", "app_dead_letters_total") == 0


def test_a_feed_says_so_once_the_stream_has_been_lost_for_long(
    app: Any, reader: Any, until: Any
) -> None:
    with app.lost("worker-nats"):
        reader.post("into the outbox")
        waited_s = until(lambda: reader.feed().degraded.startswith("feed;mode=stale;cause=worker"))
        assert waited_s > LAG_LIMIT_S / 2
        assert reader.get("/v1/trending").degraded.startswith("trending;mode=stale;cause=worker")
    assert until(lambda: reader.feed().is_full) < RECOVERY_LIMIT_S


def test_with_its_fallback_off_the_loss_of_timelines_is_a_plain_error(
    app_without_fallback: Any, until: Any
) -> None:
    app = app_without_fallback
    reader = app.log_in("u00001")
    until(lambda: reader.feed().is_full)
    with app.lost("feed-timeline"):
        # More than a breaker needs to open: nothing between may cover the loss either.
        for _ in range(60):
            answer = reader.feed()
            assert answer.status == 502
            assert "retry-after" not in answer.headers
            assert answer.degraded == ""
        assert reader.get("/v1/me").is_full
        assert reader.send("posting goes on").status == 201
    assert until(lambda: reader.feed().is_full) < RECOVERY_LIMIT_S


def test_one_poisonous_message_is_buried_and_stops_nobody(
    app_without_fallback: Any, until: Any
) -> None:
    app = app_without_fallback
    until(lambda: app.log_in("u00001").feed().is_full)

    async def poison() -> None:
        client = await nats.connect(f"nats://127.0.0.1:{app.stack.ports['nats']}")
        await client.jetstream().publish("events.post.created", b"no event")
        await client.close()

    asyncio.run(poison())
    author, reader = app.newcomer(), app.newcomer()
    reader.follow(author)
    reader.feed()
    post_id = author.post()
    until(lambda: post_id in reader.feed_ids())
    until(lambda: app.metric("worker", "app_dead_letters_total") == 1)
    until(lambda: app.metric("worker", "app_stream_lag_messages") == 0)
