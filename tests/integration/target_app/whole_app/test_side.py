"""Images, moderation, pushes and throttles in the running app, whole and with parts cut off."""

from __future__ import annotations

import hashlib
import json
import random
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.integration

RECOVERY_LIMIT_S = 4.0
MIB = 1 << 20


def image(size: int = 20_000) -> bytes:
    """Return an image that nobody has brought before."""
    return b"\x89PNG\r\n\x1a\n" + random.randbytes(size)


@dataclass(frozen=True)
class Raw:
    """An answer as it is."""

    status: int
    headers: Any
    body: bytes
    took_s: float

    @property
    def error(self) -> str:
        assert self.headers["Content-Type"] == "application/problem+json"
        return str(json.loads(self.body)["error"])


def send(app: Any, method: str, path: str, body: Any = None, **headers: str) -> Raw:
    connection = HTTPConnection("127.0.0.1", urlsplit(app.stack.base_url).port, timeout=10)
    started = time.monotonic()
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return Raw(response.status, response.headers, response.read(), time.monotonic() - started)
    finally:
        connection.close()


def upload(user: Any, data: Any) -> Raw:
    return send(user.app, "POST", "/v1/media", data, Authorization=f"Bearer {user.token}")


def ask_side(app: Any, path: str, body: object = None) -> Any:
    """Ask the side process itself."""
    connection = HTTPConnection("127.0.0.1", app.stack.ports["side"], timeout=10)
    try:
        connection.request("GET" if body is None else "POST", path, json.dumps(body))
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@pytest.fixture
def user(app: Any, until: Any) -> Any:
    """Return somebody who can post and upload, once all breakers are closed."""
    newcomer = app.newcomer()
    until(lambda: newcomer.send("first words").body["post"]["state"] == "visible")
    until(lambda: upload(newcomer, image(100)).status == 201)
    name = json.loads(upload(newcomer, image(100)).body)["sha256"]
    for cdn in "aaabbb":
        # Three good answers close a breaker.
        until(lambda cdn=cdn: not send(app, "GET", f"/m/{cdn}/{name}").headers["Degraded"])
    return newcomer


def test_an_image_that_was_uploaded_comes_back_whole_from_both_fronts(app: Any, user: Any) -> None:
    data = image(900_000)
    answer = upload(user, data)
    assert answer.status == 201
    stored = json.loads(answer.body)
    assert stored["sha256"] == hashlib.sha256(data).hexdigest()
    for path in stored["urls"]:
        shown = send(app, "GET", path)
        assert (shown.status, shown.body) == (200, data)
        assert shown.headers["Content-Type"] == "image/png"
        assert path.startswith(f"/m/{shown.headers['X-Cdn']}/")
        assert "immutable" in shown.headers["Cache-Control"]
        assert shown.headers["Degraded"] is None
        again = send(app, "GET", path, If_None_Match=shown.headers["ETag"])
        assert (again.status, again.body) == (304, b"")
    assert json.loads(upload(app.newcomer(), data).body) == stored


def test_no_image_is_taken_that_is_none_or_too_big_or_nobodys(app: Any, user: Any) -> None:
    assert (upload(user, b"<svg/>").status, upload(user, b"").status) == (415, 415)
    big = upload(user, image(MIB))
    assert (big.status, big.error) == (413, "too_large")
    in_parts = upload(user, iter([image(MIB // 2), bytes(MIB // 2), bytes(MIB // 2)]))
    assert (in_parts.status, in_parts.error) == (413, "too_large")
    assert send(app, "POST", "/v1/media", image()).status == 401
    for path in (f"/m/a/{'0' * 64}", f"/m/c/{'0' * 64}", "/m/a/..%2f..%2fetc", "/m/a/x"):
        assert send(app, "GET", path).status == 404, path


def test_with_a_front_lost_the_other_shows_the_image_and_with_both_a_placeholder(
    app: Any, user: Any, until: Any
) -> None:
    data = image()
    name = json.loads(upload(user, data).body)["sha256"]
    with app.lost("cdn-a"):
        for _ in range(30):
            shown = send(app, "GET", f"/m/a/{name}")
            assert (shown.status, shown.body, shown.headers["X-Cdn"]) == (200, data, "b")
            assert shown.headers["Degraded"] == "media;mode=other-cdn;cause=cdn-a"
        assert send(app, "GET", f"/m/b/{name}").headers["Degraded"] is None
    with app.lost("cdn-a", "cdn-b"):
        shown = send(app, "GET", f"/m/a/{name}")
        assert (shown.status, shown.headers["Content-Type"]) == (200, "image/gif")
        assert shown.headers["Degraded"] == "media;mode=placeholder;cause=cdn-a"
        assert shown.headers["Cache-Control"] == "no-store"
        assert user.send("words need no images").status == 201
    for cdn in "ab":
        path = f"/m/{cdn}/{name}"
        assert until(lambda path=path: not send(app, "GET", path).headers["Degraded"]) < (
            RECOVERY_LIMIT_S
        )


def test_an_image_cut_off_on_its_way_is_fetched_from_the_other_front(app: Any, user: Any) -> None:
    data = image()
    name = json.loads(upload(user, data).body)["sha256"]
    with app.toxic("cdn-a", "limit_data", bytes=5_000):
        shown = send(app, "GET", f"/m/a/{name}")
    assert (shown.status, shown.body, shown.headers["X-Cdn"]) == (200, data, "b")


def test_without_the_store_uploads_are_refused_in_time_and_posts_go_on(
    app: Any, user: Any, until: Any
) -> None:
    with app.toxic("gw-media", "timeout", timeout=0):
        answer = upload(user, image())
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.took_s < 1.2
        assert user.send("words need no images").status == 201
    assert until(lambda: upload(user, image(100)).status == 201) < RECOVERY_LIMIT_S


@pytest.mark.parametrize("kind", ["down", "slow"])
def test_without_moderation_a_post_is_kept_and_shown_to_its_author_only(
    app: Any, user: Any, until: Any, kind: str
) -> None:
    reader = app.newcomer()
    reader.follow(user)
    broken = (
        app.lost("gw-moderation")
        if kind == "down"
        else app.toxic("gw-moderation", "latency", latency=2_000)
    )
    with app.lost("worker-moderation"), broken:
        answer = user.send("is this allowed?")
        assert (answer.status, answer.body["post"]["state"]) == (201, "pending_review")
        assert answer.degraded == "moderation;mode=pending;cause=gw-moderation"
        post_id = answer.body["post"]["id"]
        assert user.get(f"/v1/posts/{post_id}").status == 200
        assert reader.get(f"/v1/posts/{post_id}").status == 404
        shown = reader.get(f"/v1/users/{user.user_id}/posts")
        assert post_id not in [each["id"] for each in shown.body["posts"]]
        time.sleep(0.5)
        assert post_id not in reader.feed_ids()
    # Once moderation is back, the worker has it judged and everybody sees it.
    until(lambda: reader.get(f"/v1/posts/{post_id}").status == 200)
    until(lambda: post_id in reader.feed_ids())


def test_what_moderation_rejects_is_not_written(app: Any, user: Any) -> None:
    answer = user.send("BUY  FOLLOWERS now")
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    mine = user.get(f"/v1/users/{user.user_id}/posts").body["posts"]
    assert [each["text"] for each in mine] == ["first words"]
    doubtful = user.send("free crypto for my friends")
    assert (doubtful.status, doubtful.body["post"]["state"]) == (201, "pending_review")
    assert doubtful.is_full


def test_a_bot_is_refused_by_its_account_and_its_neighbours_are_not(app: Any, user: Any) -> None:
    # Everybody here comes from one address.
    statuses = [user.put(f"/v1/users/{user.user_id + 1}/follow").status for _ in range(230)]
    refused = user.put(f"/v1/users/{user.user_id + 1}/follow")
    assert 429 in statuses
    assert refused.status == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit-policy"] == '"user";q=600;w=60'
    assert refused.headers["ratelimit"].startswith('"user";r=')
    neighbour = app.newcomer()
    assert neighbour.send("hello").status == 201


def test_who_guesses_passwords_has_to_wait_and_nobody_else_does(app: Any, user: Any) -> None:
    def log_in(password: str) -> Any:
        body = {"handle": user.handle, "password": password}
        return app.call("POST", "/v1/sessions", body)

    assert [log_in(f"guess {number}").status for number in range(10)] == [401] * 10
    right = log_in("launch-day")
    assert (right.status, right.body["error"]) == (429, "too_many")
    assert 1 <= int(right.headers["retry-after"]) <= 60
    assert user.get("/v1/me").status == 200
    app.newcomer()


def test_a_copy_of_an_upload_is_answered_and_stores_nothing(app: Any, user: Any) -> None:
    data = image()
    token = f"Bearer {user.token}"
    answer = send(app, "POST", "/v1/media", data, Authorization=token, X_Shadow="1")
    assert answer.status == 201
    name = json.loads(answer.body)["sha256"]
    assert name == hashlib.sha256(data).hexdigest()
    assert send(app, "GET", f"/m/a/{name}").status == 404


def test_the_push_sink_keeps_books_of_what_it_is_sent(app: Any) -> None:
    message = {"device": "d", "dedup_key": f"k{time.time()}", "expires_at": 9e9, "body": "x"}
    assert ask_side(app, "/push/send", message) == {"result": "delivered"}
    assert ask_side(app, "/push/send", message) == {"result": "duplicate"}
    late = message | {"dedup_key": "late", "expires_at": 0}
    assert ask_side(app, "/push/send", late) == {"result": "expired"}
    ledger = ask_side(app, f"/push/ledger?dedup_key={message['dedup_key']}")
    assert (ledger["times"], ledger["refused"]) == (2, 0)
    assert min(ledger["delivered"], ledger["duplicated"], ledger["late"]) >= 1
