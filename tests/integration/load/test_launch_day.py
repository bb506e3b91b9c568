"""The launch-day scenarios, Locust's and k6's, against a stand-in that keeps to the app's API."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from surgeproof.load.k6 import k6_read_back_command
from surgeproof.load.locust_process import generator_environment, read_back_command

pytestmark = pytest.mark.integration

StartRun = Callable[..., Any]

ROOT = Path(__file__).parents[3]
MIXES = tomllib.loads((ROOT / "scenarios" / "mix.toml").read_text(encoding="utf-8"))
TAG = '"one-page"'


class StandIn:
    """Keeps posts in memory; every account exists, and everybody follows everybody."""

    def __init__(self) -> None:
        self.posts: dict[int, dict[str, Any]] = {}
        self.keys: dict[str, int] = {}
        self.calls: Counter[str] = Counter()
        self.polls = 0
        self.ids = itertools.count(1000)
        for number in range(60):
            self.keep(number * 7, f"seeded {number}", None)

    def keep(self, author_id: int, text: str, reply_to: int | None) -> dict[str, Any]:
        post_id = next(self.ids)
        post = {"id": post_id, "author_id": author_id, "text": text, "reply_to": reply_to}
        self.posts[post_id] = post
        return post

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Callable[[Request, Any], Response]]] = [
            ("POST", "/v1/sessions", self.log_in),
            ("POST", "/v1/accounts", self.sign_up),
            ("GET", "/v1/feed/home", self.feed),
            ("GET", "/v1/posts/{id:int}", self.post),
            ("GET", "/v1/posts/{id:int}/replies", self.replies),
            ("POST", "/v1/posts/{id:int}/like", self.edge),
            ("DELETE", "/v1/posts/{id:int}/like", self.edge),
            ("PUT", "/v1/users/{id:int}/follow", self.edge),
            ("DELETE", "/v1/users/{id:int}/follow", self.edge),
            ("PUT", "/v1/users/{id:int}/block", self.edge),
            ("DELETE", "/v1/users/{id:int}/block", self.edge),
            ("GET", "/v1/users/{id:int}/posts", self.posts_of),
            ("GET", "/v1/users/{handle}", self.profile),
            ("GET", "/v1/notifications", lambda *_: JSONResponse({"notifications": []})),
            ("GET", "/v1/trending", lambda *_: JSONResponse({"tags": [], "degraded": []})),
            ("POST", "/v1/posts", self.write),
        ]
        return [
            Route(path, self._wrap(f"{method} {path}", call), methods=[method])
            for method, path, call in table
        ]

    def _wrap(self, name: str, call: Callable[[Request, Any], Response]) -> Any:
        async def endpoint(request: Request) -> Response:
            body = json.loads(await request.body() or b"{}")
            is_open = name in {"POST /v1/sessions", "POST /v1/accounts"}
            if not is_open and not request.headers.get("Authorization", "").startswith("Bearer t"):
                return JSONResponse({"error": "unauthorized"}, 401)
            self.calls[name.replace(":int", "")] += 1
            return call(request, body)

        return endpoint

    def log_in(self, _: Request, body: Any) -> Response:
        if body["password"] != "launch-day":
            return JSONResponse({"error": "unauthorized"}, 401)
        number = int(body["handle"][1:])
        return JSONResponse({"token": f"t{number}", "user_id": number, "expires_at": 0})

    def sign_up(self, _: Request, body: Any) -> Response:
        assert len(body["handle"]) <= 30
        return JSONResponse({"user_id": 1, "handle": body["handle"]}, 201)

    def feed(self, request: Request, _: Any) -> Response:
        if request.headers.get("If-None-Match") == TAG:
            self.polls += 1
            return Response(status_code=304)
        items = list(self.posts.values())[:50]
        page = {"items": items, "next_cursor": None, "degraded": []}
        return JSONResponse(page, headers={"ETag": TAG})

    def post(self, request: Request, _: Any) -> Response:
        return JSONResponse({"post": self.posts[request.path_params["id"]], "degraded": []})

    def replies(self, request: Request, _: Any) -> Response:
        parent = request.path_params["id"]
        found = [post for post in self.posts.values() if post["reply_to"] == parent]
        return JSONResponse({"posts": found, "degraded": []})

    def edge(self, request: Request, _: Any) -> Response:
        return JSONResponse({})

    def posts_of(self, request: Request, _: Any) -> Response:
        before = int(request.query_params.get("before", 2**53))
        limit = int(request.query_params.get("limit", 20))
        author = request.path_params["id"]
        mine = [post for post in self.posts.values() if post["author_id"] == author]
        older = sorted((p for p in mine if p["id"] < before), key=lambda p: -p["id"])
        return JSONResponse({"posts": older[:limit], "degraded": []})

    def profile(self, request: Request, _: Any) -> Response:
        handle = request.path_params["handle"]
        return JSONResponse({"user_id": int(handle[1:]), "handle": handle, "degraded": []})

    def write(self, request: Request, body: Any) -> Response:
        key = request.headers["Idempotency-Key"]
        if key in self.keys:
            return JSONResponse({"post": self.posts[self.keys[key]], "degraded": []})
        author = int(request.headers["Authorization"].removeprefix("Bearer t"))
        post = self.keep(author, body["text"], body.get("reply_to"))
        self.keys[key] = post["id"]
        return JSONResponse({"post": post, "degraded": []}, 201)


@pytest.fixture
def app() -> Iterator[tuple[StandIn, str]]:
    stand_in = StandIn()
    starlette = Starlette(routes=stand_in.routes())
    server = uvicorn.Server(uvicorn.Config(starlette, log_level="warning", access_log=False))
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield stand_in, f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listener.close()


@pytest.mark.parametrize("engine", ["locust", "k6"])
def test_launch_day_speaks_the_whole_api_and_every_answer_is_right(
    app: tuple[StandIn, str], start_run: StartRun, engine: str
) -> None:
    stand_in, url = app
    file = ROOT / "scenarios" / ("k6/launch_day.js" if engine == "k6" else "launch_day.py")
    # Every journey often enough for a short run to see it; viewers who read their feed twice poll.
    names = dict.fromkeys(MIXES["launch_hour"], 1.0) | {"GET /v1/feed/home": 15.0}
    run = start_run(url, engine=engine, rate=60, duration_s=5, names=names, file=file)
    run.begin(lead_s=0.5)
    prepared = stand_in.calls.copy()
    assert run.wait() == 0, run.output()
    samples = run.samples
    wrong = ~samples.outcome.equal("full")
    names_wrong = [samples.name.words[code] for code in samples.name.codes[wrong]]
    assert not names_wrong, (samples.outcome.words, samples.error_kind.words)
    assert len(samples) + len(run.drops) == 300
    called = stand_in.calls - prepared
    assert set(samples.name.words) == set(names)
    for name in names:
        assert called[name] == int(samples.name.equal(name).sum()), name
    assert prepared["POST /v1/sessions"] == 150
    if engine == "locust":
        assert stand_in.polls > 0
    _check_ledger(stand_in, run, engine)


def _check_ledger(stand_in: StandIn, run: Any, engine: str) -> None:
    rows = [json.loads(line) for line in run.lines("ledger")]
    assert {row["outcome"] for row in rows} == {"ok"}
    assert {row["key"] for row in rows} == set(stand_in.keys)
    lost, twice = sorted(stand_in.keys)[:2]
    stand_in.posts[stand_in.keys[lost]]["text"] = "somebody else's"
    doubled = stand_in.posts[stand_in.keys[twice]]
    stand_in.keep(doubled["author_id"], doubled["text"], None)
    order = run.folder.parent / "load.json"
    environment = generator_environment(os.environ, order, {})
    read_back = k6_read_back_command if engine == "k6" else read_back_command
    subprocess.run(read_back(order), env=environment, check=True, timeout=60)
    found = json.loads((run.folder.parent / "read_back.json").read_text())["post"]
    assert {key: pair for key, pair in found.items() if pair != [1, 1]} == {
        lost: [0, 0],
        twice: [2, 2],
    }
    assert set(found) == set(stand_in.keys)


@pytest.mark.parametrize("mix", sorted(MIXES))
def test_every_mix_names_requests_of_the_apps_own_description(mix: str) -> None:
    described = yaml.safe_load((ROOT / "target_app" / "openapi.yaml").read_text(encoding="utf-8"))
    offered = {
        f"{method.upper()} {path.replace('{post_id}', '{id}').replace('{user_id}', '{id}')}"
        for path, methods in described["paths"].items()
        for method in methods
    }
    assert set(MIXES[mix]) <= offered
