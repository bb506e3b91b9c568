"""The GraphQL endpoint: what it asks of the services, and what it refuses before asking."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.requests import Request

from target_app.edge import Deadline, EdgeTimeoutError, HttpAnswer
from target_app.gateway.graphql import GraphQl
from target_app.identity.tokens import Token
from target_app.serving import Exchange, ServiceError
from target_app.serving.degradation import Degradation
from target_app.serving.exchange import SCOPE_KEY

FEED = "{ feed(first: 3) { items { id replyTo { text } } after } }"


class Recorder:
    def note_fallback(self, degradation: Degradation) -> None: ...


def post(post_id: int, reply_to: int | None = None) -> dict[str, object]:
    return {
        "id": post_id,
        "author_id": 5,
        "handle": "ana",
        "text": f"text {post_id}",
        "created_at": 1.0,
        "likes": 2,
        "replies": 0,
        "reply_to": reply_to,
    }


def answer_with(body: object, degraded: str = "", status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, {"Degraded": degraded}, json.dumps(body).encode())


@dataclass
class World:
    """A gateway's context: services that have three replies in a feed, to two posts."""

    defects: tuple[str, ...] = ()
    is_enabled: bool = True
    is_graph_lost: bool = False
    batches: list[list[int]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    degraded: str = ""

    @property
    def service(self) -> World:
        return self

    sessions = flags = feed = service

    async def token_of(self, request: Request) -> Token:
        return Token(7, "viewer", 0.0, 1.0)

    def is_on(self, name: str, *, user_id: int) -> bool:
        assert (name, user_id) == ("graphql.enabled", 7)
        return self.is_enabled

    def has_defect(self, name: str) -> bool:
        return name in self.defects

    def note_error(self, feature: str, error: Exception) -> None: ...

    async def request(self, method: str, path: str, **_: object) -> HttpAnswer:
        self.paths.append(path)
        items = [post(11, reply_to=1), post(12, reply_to=2), post(13, reply_to=1)]
        return answer_with({"items": items, "next_cursor": "next"}, self.degraded)

    async def ask_graph(
        self, request: Request, method: str, path: str, body: Any = None
    ) -> HttpAnswer:
        self.paths.append(path)
        if self.is_graph_lost:
            raise EdgeTimeoutError("gw-graph", "no answer in 500 ms")
        if path == "/internal/posts/batch":
            self.batches.append(body["ids"])
            return answer_with({"posts": [post(each) for each in body["ids"] if each < 99]})
        if path.startswith("/internal/profiles"):
            return answer_with({"detail": "no such user"}, status=404)
        return answer_with({"posts": [post(21)]})


def ask(world: World, query: object, **more: object) -> tuple[dict[str, Any], Exchange]:
    body = json.dumps({"query": query, **more}).encode()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    exchange = Exchange(Recorder(), 1, 64, Deadline(1e9))
    scope = {"type": "http", "method": "POST", "headers": [], SCOPE_KEY: exchange}

    async def run() -> dict[str, Any]:
        response = await GraphQl(world).answer(Request(scope, receive))  # type: ignore[arg-type]
        found: dict[str, Any] = json.loads(bytes(response.body))
        return found

    return asyncio.run(run()), exchange


def test_a_page_of_replies_takes_one_call_for_the_feed_and_one_for_all_that_they_reply_to() -> None:
    world = World()
    answer, _ = ask(world, FEED)
    assert [item["replyTo"]["text"] for item in answer["data"]["feed"]["items"]] == [
        "text 1",
        "text 2",
        "text 1",
    ]
    assert answer["data"]["feed"]["after"] == "next"
    assert world.batches == [[1, 2]]


def test_with_the_defect_each_post_is_asked_for_by_itself() -> None:
    world = World(defects=("n_plus_one",))
    ask(world, FEED)
    assert sorted(world.batches) == [[1], [1], [2]]


def test_a_cursor_cannot_add_parameters_to_what_the_feed_is_asked() -> None:
    world = World()
    ask(world, "query($c: String) { feed(after: $c) { after } }", variables={"c": "x&limit=50"})
    assert world.paths == ["/internal/feed/7?limit=20&cursor=x%26limit%3D50"]


def test_a_post_comes_with_its_replies_and_one_that_is_hidden_is_null() -> None:
    answer, _ = ask(
        World(),
        '{ a: post(id: "1") { author { handle } replies { id } } b: post(id: "99") { id } }',
    )
    assert answer["data"] == {
        "a": {"author": {"handle": "ana"}, "replies": [{"id": "21"}]},
        "b": None,
    }


def test_who_asks_is_known_without_asking_anybody() -> None:
    world = World()
    answer, _ = ask(world, "{ viewer { id handle } }")
    assert answer["data"]["viewer"] == {"id": "7", "handle": "viewer"}
    assert world.paths == []


def test_an_unknown_user_is_null() -> None:
    assert ask(World(), '{ user(handle: "no/body") { id } }')[0]["data"] == {"user": None}


def test_what_the_feed_says_of_its_answer_is_handed_on() -> None:
    answer, exchange = ask(World(degraded="feed;mode=pull;cause=feed-timeline"), FEED)
    assert answer["degraded"] == ["feed;mode=pull;cause=feed-timeline"]
    assert len(exchange.degradations) == 1


def test_a_loss_that_leaves_nothing_to_show_is_that_of_the_request() -> None:
    with pytest.raises(EdgeTimeoutError):
        ask(World(is_graph_lost=True), '{ post(id: "1") { id } }')


def test_a_loss_that_leaves_something_is_listed_beside_it() -> None:
    answer, _ = ask(World(is_graph_lost=True), '{ viewer { id } post(id: "1") { id } }')
    assert answer["data"] == {"viewer": {"id": "7"}, "post": None}
    assert [error["path"] for error in answer["errors"]] == [["post"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("{ viewer { id }", "Syntax Error", id="no query"),
        pytest.param("{ viewer { secret } }", "secret", id="an unknown field"),
        pytest.param("{ feed(first: 51) { after } }", "first is 51", id="too long a page"),
        pytest.param('{ post(id: "x") { id } }', "id is 'x'", id="no id"),
        pytest.param(
            '{ post(id: "1")' + " { replyTo" * 9 + " { id }" + " }" * 10, "deeper", id="too deep"
        ),
        pytest.param(
            "{ feed(first: 50) { items { replies(first: 50) { id } } } }", "too much", id="too dear"
        ),
        pytest.param("{ " + "viewer { id } " * 400 + "}", "token", id="too long"),
        pytest.param(
            "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
            "part of itself",
            id="a circle of fragments",
        ),
        pytest.param(
            "{ ...F0 }"
            + "".join(f" fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(40))
            + " fragment F40 on Query { viewer { id } }",
            "too much",
            id="a bomb of fragments",
        ),
    ],
)
def test_what_asks_for_too_much_or_for_nothing_known_is_refused_unasked(
    query: str, expected: str
) -> None:
    world = World()
    answer, _ = ask(world, query)
    assert not any((answer["data"] or {}).values())
    assert expected in answer["errors"][0]["message"]
    assert world.paths == []


def test_a_page_length_in_a_variable_counts_as_much() -> None:
    query = "query($n: Int!) { feed(first: 50) { items { replies(first: $n) { id } } } }"
    assert "too much" in ask(World(), query, variables={"n": 50})[0]["errors"][0]["message"]


@pytest.mark.parametrize(
    ("more", "query"),
    [({}, 7), ({}, None), ({"variables": []}, "{ viewer { id } }")],
    ids=["a number", "nothing", "variables as a list"],
)
def test_a_body_of_other_types_is_a_bad_request(more: dict[str, object], query: object) -> None:
    with pytest.raises(ServiceError) as caught:
        ask(World(), query, **more)
    assert caught.value.status == 400


def test_switched_off_it_is_not_there() -> None:
    with pytest.raises(ServiceError) as caught:
        ask(World(is_enabled=False), FEED)
    assert caught.value.status == 404
