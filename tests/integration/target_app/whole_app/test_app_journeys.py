"""What a client sees of the healthy app, through its entry."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.integration

# The outbox is looked at 25 times a second; the rest is allowance for a machine that does other
# work too.
FRESHNESS_LIMIT_S = 3.0
# A celebrity's list is pulled again after 3 s.
CELEBRITY_LIMIT_S = 3.0 + FRESHNESS_LIMIT_S


def seen_by(user: Any, post_id: int) -> Callable[[], bool]:
    return lambda: post_id in user.feed_ids()


def test_a_newcomer_signs_up_logs_in_and_is_known(app: Any) -> None:
    user = app.newcomer()
    answer = user.get("/v1/me")
    assert (answer.status, answer.body["user_id"], answer.body["handle"]) == (
        200,
        user.user_id,
        user.handle,
    )
    assert user.get(f"/v1/users/{user.handle}").body["followers"] == 0


@pytest.mark.parametrize(
    ("path", "token"),
    [
        pytest.param("/v1/me", "", id="no token"),
        pytest.param("/v1/feed/home", "v1.k1.e30.AAAA", id="a forged token"),
    ],
)
def test_a_stranger_sees_nothing(app: Any, path: str, token: str) -> None:
    assert app.call("GET", path, token=token).status == 401


def test_a_wrong_password_and_a_taken_handle_are_refused(app: Any) -> None:
    user = app.newcomer()
    wrong = {"handle": user.handle, "password": "something else"}
    assert app.call("POST", "/v1/sessions", wrong).status == 401
    assert app.call("POST", "/v1/accounts", wrong | {"display_name": "Other"}).status == 409


def test_a_post_reaches_the_follower_s_timeline_through_outbox_and_stream(
    app: Any, until: Any
) -> None:
    author, follower = app.newcomer(), app.newcomer()
    follows = 'app_events_handled_total{kind="follow.added"'
    dropped = app.metric("worker", follows)
    follower.follow(author)
    # The worker drops the follower's timeline for that, and the read after it builds a new one;
    # what comes then can only come by push.
    until(lambda: app.metric("worker", follows) > dropped)
    until(lambda: follower.feed().is_full)
    pushed = app.metric("worker", "app_fanout_targets_total")
    post_id = author.post()
    assert until(seen_by(follower, post_id)) < FRESHNESS_LIMIT_S
    until(lambda: app.metric("worker", "app_fanout_targets_total") > pushed)
    assert follower.feed().degraded == ""


def test_a_timeline_that_is_built_while_a_post_comes_in_does_not_lack_it(
    app: Any, until: Any
) -> None:
    # The follow drops the timeline at about the time of the post: it is pushed nowhere then, and
    # must come with the history.
    for _ in range(8):
        author, follower = app.newcomer(), app.newcomer()
        follower.follow(author)
        follower.feed()
        assert until(seen_by(follower, author.post())) < FRESHNESS_LIMIT_S


def test_a_celebrity_s_post_is_pulled_in_by_readers(app: Any, until: Any) -> None:
    viewer, celebrity_id = next(
        (user, ids[0])
        for user in (app.log_in(f"u{number:05d}") for number in range(50))
        if (ids := app.inside("graph", f"/internal/users/{user.user_id}/celebrities").body["ids"])
    )
    profile = app.inside("graph", f"/internal/users/{celebrity_id}/profile").body
    assert profile["followers"] >= 1000
    viewer.feed()
    post_id = app.log_in(profile["handle"]).post("to everybody")
    assert until(seen_by(viewer, post_id)) < CELEBRITY_LIMIT_S
    assert viewer.feed().is_full


def test_pages_of_a_ranked_feed_repeat_nothing_and_skip_nothing(app: Any) -> None:
    user = app.log_in("u00011")
    everything = set(user.feed_ids())
    assert len(everything) > 10
    shown: list[int] = []
    query = "limit=4"
    while True:
        page = user.feed(query).body
        shown += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        query = f"limit=4&cursor={page['next_cursor']}"
    assert len(shown) == len(set(shown))
    assert everything <= set(shown)


def test_an_unchanged_page_is_not_sent_again(app: Any) -> None:
    user = app.log_in("u00012")
    user.feed()
    first = user.feed()
    again = user.get("/v1/feed/home?mode=recency&limit=50", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, None)


def test_one_key_makes_one_post(app: Any) -> None:
    author, key = app.newcomer(), uuid.uuid4().hex
    first, second = author.send("once", key=key), author.send("once", key=key)
    assert (first.status, second.status) == (201, 200)
    assert first.body["post"]["id"] == second.body["post"]["id"]
    assert len(author.get(f"/v1/users/{author.user_id}/posts").body["posts"]) == 1


def test_a_post_without_a_key_is_refused(app: Any) -> None:
    author = app.newcomer()
    answer = app.call("POST", "/v1/posts", {"text": "hi"}, token=author.token)
    assert answer.status == 400
    assert "Idempotency-Key" in answer.body["detail"]


def test_a_thread_shows_its_replies_and_likes(app: Any) -> None:
    author, reader = app.newcomer(), app.newcomer()
    post_id = author.post()
    reply_id = reader.post("an answer", reply_to=post_id)
    assert [reader.like(post_id).body["changed"] for _ in range(2)] == [True, False]
    post = reader.get(f"/v1/posts/{post_id}").body["post"]
    assert (post["likes"], post["replies"]) == (1, 1)
    replies = author.get(f"/v1/posts/{post_id}/replies").body["posts"]
    assert [each["id"] for each in replies] == [reply_id]
    assert reader.delete(f"/v1/posts/{post_id}/like").body["changed"] is True
    assert reader.get(f"/v1/posts/{post_id}").body["post"]["likes"] == 0


def test_a_block_hides_each_from_the_other_at_once(app: Any, until: Any) -> None:
    blocker, blocked = app.newcomer(), app.newcomer()
    blocked.follow(blocker)
    post_id = blocker.post()
    until(seen_by(blocked, post_id))
    reply_id = blocked.post("a reply", reply_to=post_id)
    blocker.block(blocked)
    assert post_id not in blocked.feed_ids()
    assert blocked.get(f"/v1/posts/{post_id}").status == 404
    assert blocked.get(f"/v1/users/{blocker.handle}").status == 404
    assert blocked.get(f"/v1/users/{blocker.user_id}/posts").body["posts"] == []
    replies = blocker.get(f"/v1/posts/{post_id}/replies").body["posts"]
    assert reply_id not in [each["id"] for each in replies]
    assert blocked.put(f"/v1/users/{blocker.user_id}/follow").status == 403


def test_who_stops_following_no_longer_gets_the_posts(app: Any, until: Any) -> None:
    author, reader = app.newcomer(), app.newcomer()
    reader.follow(author)
    post_id = author.post()
    until(seen_by(reader, post_id))
    assert reader.delete(f"/v1/users/{author.user_id}/follow").status == 200
    until(lambda: post_id not in reader.feed_ids(), limit_s=5.0)


def test_a_tag_that_is_used_is_trending_soon(app: Any, until: Any) -> None:
    author, tag = app.newcomer(), f"tag{uuid.uuid4().hex[:8]}"
    for _ in range(3):
        author.post(f"about #{tag}")
    until(
        lambda: (
            {"tag": tag, "uses": 3}.items()
            <= next(
                (line for line in author.get("/v1/trending").body["tags"] if line["tag"] == tag), {}
            ).items()
        ),
        limit_s=5.0,
    )


@pytest.mark.parametrize("path", ["/metrics", "/healthz/deps", "/internal/keys", "/admin/knobs"])
def test_what_is_not_public_ends_at_the_entry(app: Any, path: str) -> None:
    answer = app.call("GET", path)
    assert (answer.status, answer.body["error"]) == (404, "entry")


@pytest.mark.parametrize("process", ["gateway", "identity", "graph", "feed", "worker"])
def test_every_process_is_alive_ready_and_measured(app: Any, process: str) -> None:
    assert app.inside(process, "/livez").status == 200
    assert app.inside(process, "/readyz").status == 200
    assert "app_event_loop_lag_seconds" in app.inside(process, "/metrics").body
