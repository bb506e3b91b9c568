"""The gateway's interface as a whole: GraphQL, its description, and what it refuses."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

pytestmark = pytest.mark.integration

FEED = "{ feed(first: 20) { items { text author { handle } } after } }"
REPLIES = '{ user(handle: "%s") { posts { text replyTo { text } } } }'


def query(app: Any, user: Any, text: str) -> Any:
    return app.call("POST", "/graphql", {"query": text}, token=user.token)


@pytest.fixture(scope="module")
def people(app: Any) -> tuple[Any, Any]:
    """Return an author with a post and a reply to it, and who follows them."""
    author, reader = app.newcomer(), app.newcomer()
    reader.follow(author)
    author.post("an answer", reply_to=author.post("a question"))
    return author, reader


def test_a_query_shows_the_feed(app: Any, people: tuple[Any, Any], until: Any) -> None:
    author, reader = people

    def shows_the_post() -> bool:
        answer = query(app, reader, FEED)
        assert answer.status == 200, answer
        assert "errors" not in answer.body, answer
        wanted = {"text": "a question", "author": {"handle": author.handle}}
        return wanted in answer.body["data"]["feed"]["items"]

    until(shows_the_post)


def test_a_query_shows_what_a_post_replies_to(app: Any, people: tuple[Any, Any]) -> None:
    author, reader = people
    found = query(app, reader, REPLIES % author.handle).body["data"]["user"]["posts"]
    assert found == [
        {"text": "an answer", "replyTo": {"text": "a question"}},
        {"text": "a question", "replyTo": None},
    ]


def test_a_query_shows_nobody_whom_a_block_hides(app: Any, people: tuple[Any, Any]) -> None:
    author, _ = people
    other = app.newcomer()
    asked = f'{{ user(handle: "{author.handle}") {{ followers posts {{ text }} }} }}'
    shown = query(app, other, asked).body["data"]["user"]
    assert [post["text"] for post in shown["posts"]] == ["an answer", "a question"]
    author.block(other)
    hidden = query(app, other, asked).body["data"]["user"]
    assert hidden is None or hidden["posts"] == []


def test_a_query_is_refused_with_time_to_come_back_while_the_graph_is_lost(
    app: Any, people: tuple[Any, Any]
) -> None:
    author, _ = people
    with app.lost("gw-graph"):
        answer = query(app, author, '{ post(id: "1") { id } }')
        assert (answer.status, "retry-after" in answer.headers) == (503, True), answer


def calls_for_feeds(app: Any) -> float:
    """Return how many calls the reads of home feeds have taken so far, in both processes."""
    return sum(
        float(line.rpartition(" ")[2])
        for process, route in (("gateway", "/v1/feed/home"), ("feed", "/internal/feed/"))
        for line in str(app.inside(process, "/metrics").body).splitlines()
        if line.startswith("app_dependency_calls_per_request_sum") and route in line
    )


def test_a_home_feed_takes_at_most_six_calls_the_first_time_and_later(app: Any) -> None:
    # What all newcomers share is read for everybody, once in some seconds.
    app.newcomer().feed("limit=20")
    reader = app.newcomer()
    for _ in range(2):
        before = calls_for_feeds(app)
        assert reader.feed("limit=20").is_full
        assert 1 <= calls_for_feeds(app) - before <= 6


def test_the_interface_describes_itself(app: Any) -> None:
    answer = app.call("GET", "/openapi.json")
    assert answer.body["openapi"].startswith("3.1")
    assert "/graphql" in answer.body["paths"]
    again = app.call("GET", "/openapi.json", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status == 304


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("POST", "/v1/posts", {"text": 7}, 400, id="text of another type"),
        pytest.param("POST", "/v1/posts", {"text": "x" * 501}, 400, id="too long a text"),
        pytest.param("POST", "/v1/posts", [], 400, id="a list for a post"),
        pytest.param("POST", "/v1/posts/1/like", None, 404, id="a like of nothing"),
        pytest.param("DELETE", "/v1/posts/x", None, 400, id="no number"),
        pytest.param("GET", "/v1/feed/home?cursor=x", None, 400, id="an unknown cursor"),
        pytest.param("GET", "/v1/feed/home?limit=51", None, 400, id="too long a page"),
        pytest.param("POST", "/graphql", {"query": []}, 400, id="no query"),
        pytest.param("PUT", "/v1/users/1/unknown", None, 404, id="no such path"),
        pytest.param("PUT", "/v1/posts", {}, 405, id="no such method"),
    ],
)
def test_bad_input_is_a_problem_and_writes_nothing(
    app: Any, people: tuple[Any, Any], method: str, path: str, body: object, status: int
) -> None:
    author, _ = people
    before = author.get(f"/v1/users/{author.handle}").body["posts"]
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    answer = app.call(method, path, body, token=author.token, headers=headers)
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert author.get(f"/v1/users/{author.handle}").body["posts"] == before


@pytest.mark.parametrize("path", ["/v1/feed/home", "/v1/me", "/v1/posts/1", "/v1/search?q=a"])
def test_a_forged_token_is_unauthorized_everywhere(
    app: Any, people: tuple[Any, Any], path: str
) -> None:
    author, _ = people
    answer = app.call("GET", path, token=author.token[:-2] + "xx")
    assert (answer.status, answer.body["error"]) == (401, "unauthorized")


def test_with_the_defect_a_post_that_is_sent_again_is_there_twice(app: Any, start_app: Any) -> None:
    def posts_after_a_retry(whole: Any) -> int:
        author = whole.newcomer()
        for _ in range(2):
            assert author.send("once", key="the-same").status in (200, 201)
        return int(author.get(f"/v1/users/{author.handle}").body["posts"])

    assert posts_after_a_retry(app) == 1
    with start_app({"APP_ALLOW_DEFECTS": "1", "APP_DEFECTS": "duplicate_on_retry"}) as broken:
        assert posts_after_a_retry(broken) == 2
