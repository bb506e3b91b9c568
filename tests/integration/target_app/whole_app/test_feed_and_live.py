"""Feeds to their full depth and live updates, through the entry of the whole app."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from target_app.feed.keys import BUILD_SCRIPT, BUILDING, BUILT, TIMELINE_CAP

pytestmark = pytest.mark.integration

LIMIT_S = 15.0


class Socket:
    """A client's live socket, and what it has heard so far."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.heard: list[dict[str, Any]] = []

    def say(self, message: object) -> None:
        self._connection.send(json.dumps(message))

    def wait_for(self, type_: str) -> dict[str, Any]:
        """Return the next message of a type; fail if there is none in time."""
        ends_at = time.monotonic() + LIMIT_S
        while True:
            left_s = ends_at - time.monotonic()
            assert left_s > 0, f"no {type_} among {self.heard}"
            try:
                message = json.loads(self._connection.recv(timeout=left_s))
            except TimeoutError:
                continue
            self.heard.append(message)
            if message["type"] == type_:
                return dict(message)

    def close_code(self) -> int:
        """Wait for the server to close, and return its code."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._connection.recv(timeout=LIMIT_S)
        code = self._connection.close_code
        assert code is not None
        return code


@contextmanager
def listening(app: Any, token: str, *more: str) -> Iterator[Socket]:
    address = urlsplit(app.stack.base_url)
    offered = [*more, "threads.v1", *([f"bearer.{token}"] if token else [])]
    url = f"ws://{address.netloc}/v1/live"
    with connect(url, subprotocols=offered, proxy=None) as connection:  # type: ignore[arg-type]
        assert connection.subprotocol == "threads.v1"
        yield Socket(connection)


@contextmanager
def live(app: Any, token: str) -> Iterator[Socket]:
    """Open a socket and wait until it hears of everything."""
    with listening(app, token) as socket:
        if socket.wait_for("hello")["mode"] == "poll":
            socket.wait_for("live")
        yield socket


def seen_by(user: Any, post_id: int) -> Callable[[], bool]:
    return lambda: post_id in user.feed_ids()


def shown(user: Any, query: str) -> list[tuple[int, str]]:
    answer = user.get(f"/v1/feed/home?{query}")
    assert answer.status == 200, answer
    return [(each["id"], each["reason"]) for each in answer.body["items"]]


def test_a_newcomer_is_shown_popular_posts_until_there_is_something_of_one_s_own(
    app: Any, until: Any
) -> None:
    newcomer, author = app.newcomer(), app.newcomer()
    answer = newcomer.get("/v1/feed/home?limit=5")
    assert {each["reason"] for each in answer.body["items"]} == {"popular"}
    assert (len(answer.body["items"]), answer.degraded) == (5, "")
    second = newcomer.get(f"/v1/feed/home?limit=5&cursor={answer.body['next_cursor']}").body
    ids = [each["id"] for page in (answer.body, second) for each in page["items"]]
    assert len(set(ids)) == 10
    newcomer.follow(author)
    post_id, own_id = author.post(), newcomer.post()
    until(lambda: set(shown(newcomer, "limit=3")[:2]) == {(post_id, "followed"), (own_id, "own")})
    following = newcomer.get("/v1/feed/following").body["items"]
    assert [each["id"] for each in following] == [own_id, post_id]


def test_since_gives_what_is_new_and_an_unchanged_answer_is_not_sent_again(
    app: Any, until: Any
) -> None:
    author, reader = app.newcomer(), app.newcomer()
    reader.follow(author)
    first = author.post("first")
    until(seen_by(reader, first))
    nothing = reader.get(f"/v1/feed/home?since={first}")
    assert nothing.body["items"] == []
    tag = nothing.headers["etag"]
    assert reader.get(f"/v1/feed/home?since={first}", If_None_Match=tag).status == 304
    second = author.post("second")
    until(lambda: shown(reader, f"since={first}") == [(second, "followed")])
    assert reader.get(f"/v1/feed/home?since={first}", If_None_Match=tag).status == 200


@pytest.mark.parametrize(
    "query", ["cursor=nonsense", "since=-1", "since=x", "mode=best", "limit=0", "limit=51"]
)
def test_a_question_that_makes_no_sense_is_refused(app: Any, query: str) -> None:
    answer = app.log_in("u00013").get(f"/v1/feed/home?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in answer.body["detail"]


def walk(user: Any, query: str) -> list[int]:
    """Return the ids of all pages to the end."""
    found: list[int] = []
    cursor = ""
    while True:
        answer = user.get(f"/v1/feed/home?{query}{cursor}")
        assert answer.status == 200, answer
        found += [each["id"] for each in answer.body["items"]]
        if answer.body["next_cursor"] is None:
            return found
        cursor = f"&cursor={answer.body['next_cursor']}"


def test_a_feed_reaches_back_to_the_first_post_with_timelines_and_without(
    app: Any, until: Any
) -> None:
    author, other, reader = app.newcomer(), app.newcomer(), app.newcomer()
    reader.follow(author)
    reader.follow(other)
    first = other.post()
    # More than the graph gives at once, and more of one author than of the other.
    posts = [author.post() for _ in range(60)] + [other.post()]
    expected = [*reversed(posts), first]
    until(lambda: set(posts[-50:]) <= set(reader.feed_ids()))
    assert walk(reader, "mode=recency&limit=20") == expected
    with app.lost("feed-timeline"):
        assert walk(reader, "mode=recency&limit=20") == expected
    until(lambda: reader.feed().is_full)


def test_a_muted_author_is_neither_shown_nor_heard_of(app: Any, until: Any) -> None:
    author, other, reader = app.newcomer(), app.newcomer(), app.newcomer()
    reader.follow(author)
    reader.follow(other)
    created = 'app_events_handled_total{kind="post.created"'
    before = app.metric("worker", created)
    post_id = author.post()
    until(seen_by(reader, post_id))
    until(lambda: app.metric("worker", created) > before)
    with live(app, reader.token) as socket:
        assert reader.put(f"/v1/users/{author.user_id}/mute").status == 200
        for query in ("mode=ranked", "mode=recency", "since=1"):
            assert post_id not in [each for each, _ in shown(reader, query)]
        author.post()
        last = other.post()
        assert socket.wait_for("posts")["newest"] == last
        assert sum(each.get("count", 0) for each in socket.heard if each["type"] == "posts") == 1
    with app.lost("feed-timeline"):
        assert post_id not in reader.feed_ids()
    with app.lost("gw-feed"):
        assert post_id not in reader.feed_ids()
    until(lambda: reader.feed().is_full)


def test_a_deleted_post_vanishes_also_from_the_page_that_is_kept(app: Any, until: Any) -> None:
    author, reader = app.newcomer(), app.newcomer()
    reader.follow(author)
    kept, post_id = author.post(), author.post()
    until(lambda: {kept, post_id} <= set(reader.feed_ids()))
    deleted = 'app_events_handled_total{kind="post.deleted"'
    before = app.metric("worker", deleted)
    assert author.delete(f"/v1/posts/{post_id}").status == 200
    until(lambda: app.metric("worker", deleted) > before)
    with app.lost("gw-graph", "feed-graph", "worker-graph"):
        assert reader.feed_ids() == [kept]
    until(lambda: reader.feed().is_full)
    assert reader.feed_ids() == [kept]


def test_of_two_who_build_one_timeline_the_later_one_wins(app: Any) -> None:
    with Redis(port=app.stack.ports["redis-timeline"]) as redis:

        def build(token: int, post_id: int) -> object:
            settings = (BUILDING, -token, BUILT, TIMELINE_CAP, 60, b"ties")
            return redis.eval(BUILD_SCRIPT, 2, "timeline:0", "celebrities:0", *settings, post_id)

        redis.zadd("timeline:0", {BUILDING: -5})
        # The timeline is dropped, and somebody else begins anew: what the first has read is old.
        redis.delete("timeline:0")
        assert build(5, 1) == 0
        redis.zadd("timeline:0", {BUILDING: -6})
        assert build(5, 1) == 0
        assert build(6, 2) == 1
        assert redis.zrange("timeline:0", 0, -1) == [b"2", BUILT]
        redis.delete("timeline:0", "celebrities:0")


def test_a_follower_hears_of_a_post_and_finds_it(app: Any, until: Any) -> None:
    author, reader = app.newcomer(), app.newcomer()
    reader.follow(author)
    until(lambda: reader.feed().is_full)
    with live(app, reader.token) as socket:
        post_id = author.post()
        heard = socket.wait_for("posts")
        assert (heard["count"], heard["newest"]) == (1, post_id)
        until(seen_by(reader, post_id))


def test_a_follow_counts_for_the_open_socket_and_an_end_of_it_too(app: Any, until: Any) -> None:
    author, other, reader = app.newcomer(), app.newcomer(), app.newcomer()
    follows = 'app_events_handled_total{kind="follow.added"'
    before = app.metric("worker", follows)
    with live(app, reader.token) as socket:
        reader.follow(author)
        until(lambda: app.metric("worker", follows) > before)
        first = author.post()
        assert socket.wait_for("posts")["newest"] == first
        assert reader.delete(f"/v1/users/{author.user_id}/follow").status == 200
        reader.follow(other)
        until(lambda: app.metric("worker", follows) > before + 1)
        author.post()
        last = other.post()
        assert socket.wait_for("posts") == {"type": "posts", "count": 1, "newest": last}


def test_likes_are_heard_of_for_the_posts_that_one_looks_at(app: Any) -> None:
    author, fan, stranger = app.newcomer(), app.newcomer(), app.newcomer()
    post_id = author.post()
    with live(app, author.token) as socket, live(app, stranger.token) as outside:
        for each in (socket, outside):
            each.say({"watch": [post_id]})
        time.sleep(0.3)
        fan.like(post_id)
        assert socket.wait_for("likes") == {"type": "likes", "post_id": post_id, "delta": 1}
        author.post()
        stranger.post()
        assert "likes" not in [each["type"] for each in outside.heard]


def test_a_notification_is_heard_of_once_it_can_be_read(app: Any) -> None:
    author, fan = app.newcomer(), app.newcomer()
    post_id = author.post()
    with live(app, author.token) as socket:
        fan.like(post_id)
        assert socket.wait_for("notifications")["count"] >= 1


@pytest.mark.parametrize(
    ("token", "status"),
    [pytest.param("", 401, id="no token"), pytest.param("v1.k1.e30.AAAA", 401, id="forged")],
)
def test_a_socket_needs_a_token(app: Any, token: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused, listening(app, token):
        pass
    response = refused.value.response
    assert response.status_code == status
    assert json.loads(response.body)["error"] == "unauthorized"


@pytest.mark.parametrize(
    "message",
    [
        pytest.param([1], id="no object"),
        pytest.param({"watch": ["x"]}, id="no ids"),
        pytest.param({"watch": list(range(101))}, id="too many"),
        pytest.param({"shout": 1}, id="unknown"),
    ],
)
def test_a_socket_that_says_what_nobody_understands_is_closed(app: Any, message: object) -> None:
    with live(app, app.log_in("u00014").token) as socket:
        socket.say(message)
        assert socket.close_code() == 1008


def test_a_socket_that_says_too_much_at_once_is_closed(app: Any) -> None:
    with live(app, app.log_in("u00014").token) as socket:
        socket.say({"watch": [10**15] * 20_000})
        # The client may still be sending when the connection goes away.
        assert socket.close_code() in (1006, 1009)


def test_open_sockets_are_counted(app: Any, until: Any) -> None:
    token = app.log_in("u00015").token
    before = app.metric("gateway", "app_ws_connections")
    with live(app, token), live(app, token):
        assert app.metric("gateway", "app_ws_connections") == before + 2
    until(lambda: app.metric("gateway", "app_ws_connections") == before)


@pytest.mark.parametrize(
    ("edge", "cause"),
    [
        pytest.param("gw-nats", "gw-nats", id="the gateway's ear"),
        pytest.param("worker-nats", "worker", id="the worker's mouth"),
    ],
)
def test_without_the_stream_a_socket_says_poll_and_afterwards_live_again(
    app: Any, until: Any, edge: str, cause: str
) -> None:
    author, reader = app.newcomer(), app.newcomer()
    reader.follow(author)
    until(lambda: reader.feed().is_full)
    until(lambda: reader.get("/v1/live").is_full)
    with live(app, reader.token) as socket:
        with app.lost(edge):
            assert socket.wait_for("poll")["after_ms"] >= 0
            answer = reader.get("/v1/live")
            assert answer.body["mode"] == "poll"
            assert answer.degraded == f"live;mode=poll;cause={cause}"
            with listening(app, reader.token) as late:
                assert late.wait_for("hello")["mode"] == "poll"
            missed = author.post()
        assert socket.wait_for("live")["after_ms"] >= 0
        # What was missed is found by fetching anew, and what comes now is heard of.
        until(seen_by(reader, missed))
        until(lambda: reader.get("/v1/live").is_full)
        post_id = author.post()
        while socket.wait_for("posts")["newest"] != post_id:
            pass


def test_without_the_graph_a_new_socket_polls_until_it_is_back(app: Any, until: Any) -> None:
    reader = app.newcomer()
    until(lambda: reader.get("/v1/live").is_full)
    with app.lost("gw-graph"), listening(app, reader.token) as socket:
        assert socket.wait_for("hello")["mode"] == "poll"
        assert reader.get("/v1/live").degraded == "live;mode=poll;cause=gw-graph"
    with live(app, reader.token):
        assert until(lambda: reader.get("/v1/live").is_full) < LIMIT_S
