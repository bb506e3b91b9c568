"""What graph and identity answer while an edge is broken for real, and how soon they recover."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytestmark = pytest.mark.integration

# The cool-down of a breaker (1 s), a reconnection, and a machine that does other work too.
RECOVERY_LIMIT_S = 3.0
# 1.2 times the edge's timeout of 250 ms, and the same allowance.
REFUSAL_LIMIT_S = 0.3 + 0.3
# Twice the cache edge's timeout of 50 ms, one round trip to the database, and the same allowance.
BYPASS_LIMIT_S = 0.1 + 0.3

KEYS = (f"fault-{number}" for number in itertools.count())


def post(backend: Any, author_id: int, key: str = "") -> Any:
    body = {"author_id": author_id, "text": "hello", "idempotency_key": key or next(KEYS)}
    return backend.call("graph", "POST", "/internal/posts", body)


def batch(backend: Any, ids: list[int], viewer_id: int | None = None) -> Any:
    body = {"ids": ids, "viewer_id": viewer_id}
    return backend.call("graph", "POST", "/internal/posts/batch", body)


def recent(backend: Any, viewer_id: int) -> Any:
    return backend.call("graph", "POST", "/internal/recent", {"viewer_id": viewer_id})


def page_of(backend: Any, viewer_id: int) -> list[int]:
    answer = recent(backend, viewer_id)
    assert answer.status == 200, answer
    return [each["id"] for each in answer.body["posts"]]


def posted(backend: Any, author_id: int) -> int:
    answer = post(backend, author_id)
    assert answer.status == 201, answer
    return int(answer.body["post"]["id"])


def assert_refused_in_time(answer: Any) -> None:
    assert answer.status == 503, answer
    assert answer.headers["retry-after"] == "1"
    assert "degraded" not in answer.headers
    assert answer.took_s < REFUSAL_LIMIT_S


def test_a_slow_database_slows_reads_and_writes_by_one_round_trip(backend: Any) -> None:
    users = [backend.user_id(f"u{number:05d}") for number in range(200, 240)]
    with backend.toxic("graph-pg", "latency", latency=150), ThreadPoolExecutor(4) as pool:
        writes = list(pool.map(lambda user: post(backend, user), users))
        reads = list(pool.map(lambda user: batch(backend, [user], user), users))
    assert [answer.status for answer in writes] == [201] * 40
    assert [answer.status for answer in reads] == [200] * 40
    assert all(0.15 <= answer.took_s < 0.3 for answer in writes)


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        pytest.param("", {}, id="down"),
        pytest.param("timeout", {"timeout": 0}, id="a black hole"),
        pytest.param("reset_peer", {"timeout": 0}, id="resets"),
        pytest.param("latency", {"latency": 5000}, id="far too slow"),
        pytest.param(
            "slicer", {"average_size": 1, "size_variation": 0, "delay": 50_000}, id="crumbs"
        ),
    ],
)
def test_without_the_database_reads_degrade_writes_are_refused_and_all_recovers(
    backend: Any, kind: str, attributes: dict[str, int]
) -> None:
    viewer = backend.user_id("u00300")
    page = page_of(backend, viewer)
    broken = backend.toxic("graph-pg", kind, **attributes) if kind else backend.down("graph-pg")
    with broken:
        refused = [post(backend, viewer) for _ in range(30)]
        # 7 is the id of no post: to know that, the database must be asked.
        cached = batch(backend, [*page, 7], viewer)
        strangers = recent(backend, backend.user_id("u09999"))
    for answer in refused:
        assert_refused_in_time(answer)
    # The breaker has opened by then: what cannot work costs nothing any more.
    assert max(answer.took_s for answer in refused[-5:]) < 0.1
    assert cached.status == 200
    assert [each["id"] for each in cached.body["posts"]] == page
    assert cached.body["missing"] == [7]
    assert "posts;mode=cached;cause=graph-pg" in cached.headers["degraded"]
    assert cached.headers["degraded"].split(", ") == cached.body["degraded"]
    assert_refused_in_time(strangers)
    body = {"author_id": viewer, "text": "back again", "idempotency_key": next(KEYS)}
    waited_s = backend.wait_until_full("graph", "POST", "/internal/posts", body)
    assert waited_s < RECOVERY_LIMIT_S


def test_every_acknowledged_post_survives_resets_and_none_is_written_twice(backend: Any) -> None:
    author = backend.user_id("u00301")
    keys = [next(KEYS) for _ in range(60)]
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(post, backend, author, key) for key in keys]
        for _ in range(3):
            with backend.toxic("graph-pg", "reset_peer", timeout=0):
                backend.call("graph", "GET", "/livez")
        answers = [job.result() for job in jobs]
    backend.wait_until_whole()
    assert {answer.status for answer in answers} <= {200, 201, 503}
    # Whoever got no answer sends the same key again, as a client would.
    final = {key: post(backend, author, key) for key in keys}
    for key, answer in zip(keys, answers, strict=True):
        assert final[key].status in (200, 201)
        if answer.status == 201:
            assert final[key].status == 200
            assert final[key].body["post"]["id"] == answer.body["post"]["id"]
    ids = {answer.body["post"]["id"] for answer in final.values()}
    assert len(ids) == len(keys)
    found = batch(backend, sorted(ids)).body["posts"]
    assert len(found) == len(keys)


def test_pooled_connections_that_broke_cost_no_read_an_error(backend: Any) -> None:
    viewers = [backend.user_id(f"u{number:05d}") for number in range(400, 420)]
    with backend.toxic("graph-pg", "reset_peer", timeout=0):
        pass
    answers = [recent(backend, viewer) for viewer in viewers]
    assert [answer.status for answer in answers] == [200] * 20
    assert not any("degraded" in answer.headers for answer in answers)


@pytest.mark.parametrize("kind", ["down", "timeout"])
def test_without_the_cache_everything_is_answered_from_the_database(
    backend: Any, kind: str
) -> None:
    users = [backend.user_id(f"u{number:05d}") for number in range(500, 530)]
    broken = (
        backend.down("graph-cache")
        if kind == "down"
        else backend.toxic("graph-cache", "timeout", timeout=0)
    )
    with broken:
        reads = [recent(backend, user) for user in users]
        writes = [post(backend, user) for user in users]
    assert [answer.status for answer in reads] == [200] * 30
    assert [answer.status for answer in writes] == [201] * 30
    assert not any("degraded" in answer.headers for answer in reads)
    assert max(answer.took_s for answer in reads) < BYPASS_LIMIT_S
    backend.wait_until_whole()
    assert 'app_breaker_state{edge="graph-cache"} 0.0' in backend.metrics("graph")


def test_a_block_made_while_the_cache_is_lost_holds_when_the_cache_returns(backend: Any) -> None:
    one, other = backend.user_id("u00600"), backend.user_id("u00601")
    hidden = posted(backend, other)
    # Both tiers now say that nobody is blocked.
    assert len(batch(backend, [hidden], one).body["posts"]) == 1
    with backend.down("graph-cache"):
        path = f"/internal/assoc/blocks/{one}/{other}"
        assert backend.call("graph", "POST", path).status == 200
    # Redis could not be told: what it still holds is younger than its fresh time.
    assert batch(backend, [hidden], one).body["posts"] == []


def test_a_viewer_whose_blocks_are_unknown_sees_nobody_else(backend: Any) -> None:
    author, viewer = backend.user_id("u00700"), backend.user_id("u00701")
    ids = [posted(backend, user) for user in (author, viewer)]
    with backend.down("graph-pg"):
        answer = batch(backend, ids, viewer)
    assert answer.status == 200
    assert [each["author_id"] for each in answer.body["posts"]] == [viewer]
    assert answer.body["missing"] == [ids[0]]
    assert "blocks;mode=closed;cause=graph-pg" in answer.headers["degraded"]


def test_without_its_database_login_is_refused_and_known_names_are_remembered(
    backend: Any,
) -> None:
    user_id = backend.user_id("u00800")
    path = f"/internal/users/{user_id}"
    assert backend.call("identity", "GET", path).status == 200
    credentials = {"handle": "u00800", "password": "launch-day"}
    with backend.down("identity-pg"):
        for _ in range(5):
            login = backend.call("identity", "POST", "/internal/sessions", credentials)
            assert_refused_in_time(login)
        named = backend.call("identity", "GET", path)
        ready = backend.call("identity", "GET", "/readyz")
    assert (named.status, named.body["handle"]) == (200, "u00800")
    assert "names;mode=cached;cause=identity-pg" in named.headers["degraded"]
    assert ready.status == 200
    waited_s = backend.wait_until_full("identity", "POST", "/internal/sessions", credentials)
    assert waited_s < RECOVERY_LIMIT_S


def test_readiness_and_tier_0_metrics_do_not_depend_on_any_edge(backend: Any) -> None:
    with backend.down("graph-pg"), backend.down("graph-cache"):
        assert backend.call("graph", "GET", "/readyz").status == 200
        assert backend.call("graph", "GET", "/livez").status == 200
        assert "app_breaker_state" in backend.metrics("graph")


def test_with_its_fallback_switched_off_a_loss_is_a_plain_error(
    backend_without_fallback: Any,
) -> None:
    backend = backend_without_fallback
    viewer = backend.user_id("u00300")
    page = page_of(backend, viewer)
    with backend.down("graph-pg"):
        answers = [batch(backend, [*page, 7], viewer), post(backend, viewer)]
    for answer in answers:
        assert answer.status == 502
        assert answer.body["error"] == "dependency_failed"
        assert "retry-after" not in answer.headers
        assert "degraded" not in answer.headers
