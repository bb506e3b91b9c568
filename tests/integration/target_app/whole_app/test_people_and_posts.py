"""What people do to each other and to posts, through the public interface of the whole app."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.integration

Until = Callable[..., float]


def kinds(user: Any) -> list[tuple[str, int]]:
    answer = user.get("/v1/notifications")
    assert answer.status == 200, answer
    return [(each["kind"], each["actor_id"]) for each in answer.body["notifications"]]


def make_private(app: Any, user: Any) -> None:
    version = user.get("/v1/me/account").body["version"]
    answer = app.call(
        "PATCH",
        "/v1/me",
        {"is_private": True},
        token=user.token,
        headers={"If-Match": str(version)},
    )
    assert answer.status == 200, answer


def test_a_deleted_post_is_gone_for_good_and_only_its_author_deletes_it(app: Any) -> None:
    author, other = app.newcomer(), app.newcomer()
    post_id = author.post("gone soon")
    assert other.delete(f"/v1/posts/{post_id}").status == 404
    assert other.get(f"/v1/posts/{post_id}").status == 200
    assert author.delete(f"/v1/posts/{post_id}").body["changed"] is True
    assert author.delete(f"/v1/posts/{post_id}").body["changed"] is False
    assert author.get(f"/v1/posts/{post_id}").status == 404
    assert other.like(post_id).status == 404
    assert other.send("to nobody", reply_to=post_id).status == 404
    assert other.get(f"/v1/users/{author.handle}").body["posts"] == 0


def test_a_repost_reaches_followers_and_is_counted_once(app: Any, until: Until) -> None:
    author, fan, reader = app.newcomer(), app.newcomer(), app.newcomer()
    reader.follow(fan)
    post_id, key = author.post("worth it"), uuid.uuid4().hex
    for status in (201, 200):
        answer = app.call(
            "POST",
            f"/v1/posts/{post_id}/repost",
            token=fan.token,
            headers={"Idempotency-Key": key},
        )
        assert answer.status == status, answer
    repost = answer.body["post"]
    assert repost["repost_of"] == post_id
    until(lambda: repost["id"] in reader.feed_ids())
    assert reader.get(f"/v1/posts/{post_id}").body["post"]["reposts"] == 1
    until(lambda: ("repost", fan.user_id) in kinds(author))


def test_a_key_that_was_used_for_another_request_is_refused(app: Any) -> None:
    author, key = app.newcomer(), uuid.uuid4().hex
    assert author.send("first", key=key).status == 201
    assert author.send("first", key=key).status == 200
    answer = author.send("second", key=key)
    assert (answer.status, answer.body["error"]) == (422, "key_reused")
    assert answer.headers["content-type"] == "application/problem+json"
    assert author.get(f"/v1/users/{author.handle}").body["posts"] == 1


def test_a_mute_is_one_way_silent_and_ends(app: Any, until: Until) -> None:
    author, reader = app.newcomer(), app.newcomer()
    reader.follow(author)
    post_id = author.post("loud")
    until(lambda: post_id in reader.feed_ids())
    assert reader.put(f"/v1/users/{author.user_id}/mute").status == 200
    assert post_id not in reader.feed_ids()
    # Who is muted is still found, and is not told.
    assert reader.get(f"/v1/posts/{post_id}").status == 200
    assert reader.get(f"/v1/users/{author.handle}").status == 200
    assert author.get(f"/v1/users/{reader.handle}").status == 200
    assert reader.delete(f"/v1/users/{author.user_id}/mute").status == 200
    until(lambda: post_id in reader.feed_ids())


def test_a_private_account_is_asked_and_shows_nothing_before_it_agrees(
    app: Any, until: Until
) -> None:
    owner, fan, stranger = app.newcomer(), app.newcomer(), app.newcomer()
    make_private(app, owner)
    post_id = owner.post("for friends")
    answer = fan.put(f"/v1/users/{owner.user_id}/follow")
    assert answer.body == {"changed": True, "state": "requested"}
    until(lambda: fan.get(f"/v1/posts/{post_id}").status == 404)
    assert fan.get(f"/v1/users/{owner.user_id}/posts").body["posts"] == []
    assert owner.get("/v1/me/follow-requests").body["ids"] == [fan.user_id]
    assert owner.put(f"/v1/me/follow-requests/{fan.user_id}").status == 200
    assert fan.get(f"/v1/posts/{post_id}").status == 200
    until(lambda: post_id in fan.feed_ids())
    assert stranger.get(f"/v1/posts/{post_id}").status == 404
    assert stranger.like(post_id).status == 404
    assert owner.delete(f"/v1/me/follow-requests/{stranger.user_id}").status == 404


def test_who_does_what_is_notified_once_and_never_by_the_blocked_or_muted(
    app: Any, until: Until
) -> None:
    author, fan, muted = app.newcomer(), app.newcomer(), app.newcomer()
    post_id = author.post("hello all")
    author.put(f"/v1/users/{muted.user_id}/mute")
    muted.like(post_id)
    fan.follow(author)
    fan.like(post_id)
    fan.send("well said", reply_to=post_id)
    fan.post(f"look at @{author.handle}")
    expected = {(kind, fan.user_id) for kind in ("follow", "like", "reply", "mention")}
    until(lambda: set(kinds(author)) == expected)
    assert len(kinds(author)) == 4
    author.block(fan)
    assert kinds(author) == []


def test_people_are_found_by_the_beginning_of_their_handle(app: Any) -> None:
    user, other = app.newcomer(), app.newcomer()
    found = user.get(f"/v1/search?q={other.handle[:8]}").body["users"]
    assert other.handle in {each["handle"] for each in found}
    assert user.get("/v1/search?q=").status == 400
    # No character is a wildcard.
    assert user.get("/v1/search?q=%25").body["users"] == []
    other.block(user)
    found = user.get(f"/v1/search?q={other.handle}").body["users"]
    assert found == []


def test_a_deleted_account_vanishes_with_what_it_wrote(app: Any, until: Until) -> None:
    leaver, friend = app.newcomer(), app.newcomer()
    friend.follow(leaver)
    post_id = leaver.post("last words")
    until(lambda: post_id in friend.feed_ids())
    assert app.call("DELETE", "/v1/me", token=leaver.token).status < 300
    until(lambda: friend.get(f"/v1/users/{leaver.handle}").status == 404)
    until(lambda: friend.get(f"/v1/posts/{post_id}").status == 404)
    until(lambda: post_id not in friend.feed_ids())
    until(lambda: friend.get(f"/v1/users/{friend.handle}").body["following"] == 0)


def test_counts_are_those_of_the_edges(app: Any) -> None:
    author, fans = app.newcomer(), [app.newcomer() for _ in range(3)]
    post_id = author.post("count me")
    for fan in fans:
        fan.follow(author)
        fan.like(post_id)
        fan.like(post_id)
    app.call("DELETE", f"/v1/posts/{post_id}/like", token=fans[0].token)
    fans[1].delete(f"/v1/users/{author.user_id}/follow")
    assert author.get(f"/v1/posts/{post_id}").body["post"]["likes"] == 2
    assert author.get(f"/v1/users/{author.handle}").body["followers"] == 2
    inside = f"/internal/assoc/followed_by/{author.user_id}/count"
    assert app.inside("graph", inside).body["count"] == 2
