"""What graph and identity promise while everything below them works."""

from __future__ import annotations

import itertools
import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from target_app.ids import shard_of

pytestmark = pytest.mark.integration

KEYS = (f"plain-{number}" for number in itertools.count())
# A few milliseconds on an idle machine; the tests share theirs with other work.
BATCH_LIMIT_S = 0.02


def post(backend: Any, author_id: int, *, key: str = "", **more: object) -> Any:
    body = {"author_id": author_id, "text": "hello", "idempotency_key": key or next(KEYS)} | more
    return backend.call("graph", "POST", "/internal/posts", body)


def batch(backend: Any, ids: list[int], viewer_id: int | None = None) -> Any:
    body = {"ids": ids, "viewer_id": viewer_id}
    return backend.call("graph", "POST", "/internal/posts/batch", body)


def profile(backend: Any, user_id: int) -> Any:
    return backend.call("graph", "GET", f"/internal/users/{user_id}/profile").body


def recent(backend: Any, viewer_id: int) -> list[Any]:
    body = {"viewer_id": viewer_id, "limit": 50}
    return list(backend.call("graph", "POST", "/internal/recent", body).body["posts"])


def sign_up(backend: Any, handle: str) -> int:
    body = {"handle": handle, "password": "long enough", "display_name": handle.title()}
    answer = backend.call("identity", "POST", "/internal/accounts", body)
    assert answer.status == 201, answer
    return int(answer.body["user_id"])


def associate(backend: Any, method: str, kind: str, from_id: int, to_id: int) -> Any:
    return backend.call("graph", method, f"/internal/assoc/{kind}/{from_id}/{to_id}")


def test_a_seeded_user_logs_in_and_a_wrong_password_is_refused(backend: Any) -> None:
    good = {"handle": "u00001", "password": "launch-day"}
    answer = backend.call("identity", "POST", "/internal/sessions", good)
    assert answer.status == 200
    assert answer.body["user_id"] == backend.user_id("u00001")
    for bad in ({"password": "launch-night"}, {"handle": "nobody-at-all"}):
        refused = backend.call("identity", "POST", "/internal/sessions", good | bad)
        assert refused.status == 401


def test_a_handle_is_given_once_and_a_repeated_sign_up_finds_its_account(backend: Any) -> None:
    body = {"handle": "newcomer", "password": "long enough", "display_name": "New"}
    first = backend.call("identity", "POST", "/internal/accounts", body)
    again = backend.call("identity", "POST", "/internal/accounts", body)
    thief = backend.call(
        "identity", "POST", "/internal/accounts", body | {"password": "of another"}
    )
    assert (first.status, again.status, thief.status) == (201, 200, 409)
    assert again.body["user_id"] == first.body["user_id"]


def test_a_new_account_can_be_followed_at_once(backend: Any) -> None:
    user = sign_up(backend, "follow.me")
    fan = backend.user_id("u00002")
    before = profile(backend, fan)["following"]
    assert associate(backend, "POST", "follows", fan, user).body == {"changed": True}
    assert associate(backend, "POST", "follows", fan, user).body == {"changed": False}
    assert profile(backend, user)["followers"] == 1
    assert profile(backend, fan)["following"] == before + 1
    followers = backend.call("graph", "GET", f"/internal/users/{user}/followers").body["ids"]
    assert followers == [fan]
    assert associate(backend, "DELETE", "follows", fan, user).body == {"changed": True}
    assert profile(backend, user)["followers"] == 0


def test_a_post_is_readable_everywhere_as_soon_as_it_is_acknowledged(backend: Any) -> None:
    author, fan = sign_up(backend, "author.one"), sign_up(backend, "fan.one")
    associate(backend, "POST", "follows", fan, author)
    written = post(backend, author)
    assert written.status == 201
    made = written.body["post"]
    assert made["handle"] == "author.one"
    assert shard_of(made["id"]) == shard_of(author)
    assert batch(backend, [made["id"]]).body["posts"] == [made]
    assert [each["id"] for each in recent(backend, fan)] == [made["id"]]
    assert [each["id"] for each in recent(backend, author)] == [made["id"]]
    listed = backend.call("graph", "GET", f"/internal/users/{author}/posts").body["posts"]
    assert listed == [made]


def test_one_key_makes_one_post_however_often_and_at_once_it_is_sent(backend: Any) -> None:
    author = sign_up(backend, "author.two")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: post(backend, author, key="same"), range(32)))
    assert sorted(answer.status for answer in answers) == [200] * 31 + [201]
    assert len({answer.body["post"]["id"] for answer in answers}) == 1
    assert profile(backend, author)["posts"] == 1


def test_a_reply_is_counted_and_listed_and_one_to_nothing_is_refused(backend: Any) -> None:
    author = sign_up(backend, "author.three")
    parent = post(backend, author).body["post"]["id"]
    assert backend.call("graph", "GET", f"/internal/posts/{parent}/replies").body["posts"] == []
    reply = post(backend, author, reply_to=parent)
    assert reply.status == 201
    listed = backend.call("graph", "GET", f"/internal/posts/{parent}/replies").body["posts"]
    assert [each["id"] for each in listed] == [reply.body["post"]["id"]]
    assert batch(backend, [parent]).body["posts"][0]["replies"] == 1
    assert post(backend, author, key="corrected", reply_to=1).status == 404
    # The refused request has not used up its key.
    assert post(backend, author, key="corrected", reply_to=parent).status == 201


def test_likes_of_many_at_once_are_counted_exactly(backend: Any) -> None:
    liked = post(backend, sign_up(backend, "author.four")).body["post"]["id"]
    fans = [backend.user_id(f"u{number:05d}") for number in range(100, 120)]
    with ThreadPoolExecutor(16) as pool:
        # Everybody twice: the second like changes nothing.
        list(pool.map(lambda fan: associate(backend, "POST", "likes", fan, liked), fans * 2))
    assert batch(backend, [liked]).body["posts"][0]["likes"] == 20
    associate(backend, "DELETE", "likes", fans[0], liked)
    assert batch(backend, [liked]).body["posts"][0]["likes"] == 19


def test_a_block_hides_both_from_each_other_and_ends_following(backend: Any) -> None:
    one, other = sign_up(backend, "blocker"), sign_up(backend, "blocked")
    associate(backend, "POST", "follows", one, other)
    associate(backend, "POST", "follows", other, one)
    posts = {user: post(backend, user).body["post"]["id"] for user in (one, other)}
    assert len(recent(backend, one)) == 2
    assert associate(backend, "POST", "blocks", one, other).body == {"changed": True}
    for viewer, hidden in ((one, other), (other, one)):
        seen = batch(backend, [posts[hidden]], viewer).body
        assert seen == {"posts": [], "missing": [posts[hidden]]}
        assert [each["author_id"] for each in recent(backend, viewer)] == [viewer]
        path = f"/internal/users/{hidden}/posts?viewer_id={viewer}"
        assert backend.call("graph", "GET", path).body["posts"] == []
        path = f"/internal/users/{hidden}/profile?viewer_id={viewer}"
        assert backend.call("graph", "GET", path).status == 404
        assert associate(backend, "POST", "follows", viewer, hidden).status == 403
        assert associate(backend, "POST", "likes", viewer, posts[hidden]).status == 403
        assert post(backend, viewer, reply_to=posts[hidden]).status == 403
        assert profile(backend, viewer)["followers"] == 0


def test_two_people_who_follow_each_other_over_and_over_never_deadlock(backend: Any) -> None:
    one, other = sign_up(backend, "mutual.a"), sign_up(backend, "mutual.b")
    pairs = [(one, other), (other, one)] * 20
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda job: associate(backend, job[0], "follows", *job[1]).status,
                zip(itertools.cycle(("POST", "DELETE", "POST")), pairs, strict=False),
            )
        )
    assert set(answers) == {200}
    follows = [
        backend.call("graph", "GET", f"/internal/assoc/follows/{user}/count").body["count"]
        for user in (one, other)
    ]
    assert follows == [profile(backend, user)["following"] for user in (one, other)]


def test_followers_come_in_chunks_without_gaps_or_repeats(backend: Any) -> None:
    viewer = backend.user_id("u00003")
    path = f"/internal/users/{viewer}/celebrities"
    celebrity = backend.call("graph", "GET", path).body["ids"][0]
    ids: list[int] = []
    after: int | None = 0
    while after is not None:
        path = f"/internal/users/{celebrity}/followers?after={after}&limit=500"
        chunk = backend.call("graph", "GET", path).body
        ids += chunk["ids"]
        after = chunk["next_after"]
    assert ids == sorted(set(ids))
    assert len(ids) == profile(backend, celebrity)["followers"] >= 1000


def test_a_batch_keeps_the_order_asked_for_and_names_what_is_missing(backend: Any) -> None:
    author = sign_up(backend, "author.five")
    ids = [post(backend, author).body["post"]["id"] for _ in range(3)]
    seen = batch(backend, [ids[2], 5, ids[0], ids[1]]).body
    assert [each["id"] for each in seen["posts"]] == [ids[2], ids[0], ids[1]]
    assert seen["missing"] == [5]


def test_a_page_of_twenty_posts_takes_a_few_milliseconds(backend: Any) -> None:
    viewer = backend.user_id("u00010")
    celebrity = backend.call("graph", "GET", f"/internal/users/{viewer}/celebrities").body["ids"]
    ids = [each["id"] for each in recent(backend, viewer)][:20]
    assert celebrity
    assert len(ids) == 20
    batch(backend, ids, viewer)
    took_s = [batch(backend, ids, viewer).took_s for _ in range(50)]
    assert statistics.median(took_s) < BATCH_LIMIT_S


@pytest.mark.parametrize(
    ("process", "method", "path", "body", "status"),
    [
        pytest.param("graph", "POST", "/internal/posts", {"text": 1}, 400, id="a wrong type"),
        pytest.param(
            "graph", "POST", "/internal/posts/batch", {"ids": [1] * 201}, 400, id="a fat batch"
        ),
        pytest.param("graph", "GET", "/internal/users/x/profile", None, 400, id="no number"),
        pytest.param("graph", "GET", "/internal/users/9/profile", None, 404, id="nobody"),
        pytest.param("graph", "POST", "/internal/assoc/envies/1/2", None, 404, id="no such kind"),
        pytest.param("graph", "POST", "/internal/assoc/follows/7/7", None, 400, id="oneself"),
        pytest.param("graph", "POST", "/internal/assoc/follows/7/8", None, 404, id="strangers"),
        pytest.param("graph", "GET", "/nowhere", None, 404, id="no such route"),
        pytest.param("graph", "PUT", "/internal/posts", None, 405, id="no such method"),
        pytest.param("identity", "POST", "/internal/accounts", {}, 400, id="an empty sign-up"),
    ],
)
def test_a_bad_request_gets_a_json_error_and_no_retry_after(
    backend: Any, process: str, method: str, path: str, body: object, status: int
) -> None:
    answer = backend.call(process, method, path, body)
    assert answer.status == status
    assert set(answer.body) == {"type", "title", "status", "detail", "error"}
    assert "retry-after" not in answer.headers


def test_a_request_whose_time_is_up_is_refused_before_any_work(backend: Any) -> None:
    answer = backend.call("graph", "GET", "/internal/users/1/profile", X_Deadline_Ms="0")
    assert answer.status == 503
    assert "reason=deadline" in answer.headers["x-shed"]
    assert int(answer.headers["retry-after"]) >= 1


def test_the_metrics_page_counts_requests_edges_and_cache(backend: Any) -> None:
    batch(backend, [1])
    page = backend.metrics("graph")
    for name in (
        'app_http_requests_total{code="200",degraded="false",method="POST",',
        'app_edge_requests_total{edge="graph-pg",outcome="ok"}',
        'app_breaker_state{edge="graph-cache"} 0.0',
        'app_cache_requests_total{cache="post",result="miss"}',
        'app_retry_budget_remaining_ratio{edge="graph-pg"}',
        "app_event_loop_lag_seconds_count",
        "app_queue_delay_seconds_count",
        "app_admission_level",
    ):
        assert name in page, name
