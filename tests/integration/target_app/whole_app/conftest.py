"""The whole app behind its entry, driven as a client would, with each edge ready to be broken."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from surgeproof.journal.folder import RunFolder
from surgeproof.stack import ProcessStack, RunningStack, read_definition

STACK_FILE = Path(__file__).parents[4] / "target_app" / "stack.toml"
PASSWORD = "launch-day"


@dataclass(frozen=True)
class Answer:
    """One answer; ``body`` is the decoded JSON, None without one."""

    status: int
    headers: dict[str, str]
    body: Any
    took_s: float

    @property
    def degraded(self) -> str:
        return self.headers.get("degraded", "")

    @property
    def is_full(self) -> bool:
        return self.status < 400 and not self.degraded


@dataclass(frozen=True)
class User:
    """Somebody who is logged in."""

    app: WholeApp
    user_id: int
    handle: str
    token: str

    def get(self, path: str, **headers: str) -> Answer:
        return self.app.call("GET", path, token=self.token, headers=headers)

    def put(self, path: str) -> Answer:
        return self.app.call("PUT", path, token=self.token)

    def delete(self, path: str) -> Answer:
        return self.app.call("DELETE", path, token=self.token)

    def like(self, post_id: int) -> Answer:
        return self.app.call("POST", f"/v1/posts/{post_id}/like", token=self.token)

    def follow(self, other: User) -> None:
        assert self.put(f"/v1/users/{other.user_id}/follow").status == 200

    def block(self, other: User) -> None:
        assert self.put(f"/v1/users/{other.user_id}/block").status == 200

    def send(self, text: str, *, key: str = "", reply_to: int | None = None) -> Answer:
        return self.app.call(
            "POST",
            "/v1/posts",
            {"text": text, "reply_to": reply_to},
            token=self.token,
            headers={"Idempotency-Key": key or uuid.uuid4().hex},
        )

    def post(self, text: str = "hello", *, reply_to: int | None = None) -> int:
        """Post and return the id of the new post."""
        answer = self.send(text, reply_to=reply_to)
        assert answer.status == 201, answer
        return int(answer.body["post"]["id"])

    def feed(self, query: str = "mode=recency&limit=50") -> Answer:
        return self.get(f"/v1/feed/home?{query}")

    def feed_ids(self) -> list[int]:
        answer = self.feed()
        return [each["id"] for each in answer.body["items"]] if answer.status == 200 else []


@dataclass(frozen=True)
class WholeApp:
    """The running stack."""

    stack: RunningStack

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str = "",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request to the entry."""
        address = urlsplit(self.stack.base_url)
        sent = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        return _request(address.port, method, path, body, sent)

    def inside(
        self, process: str, path: str, *, method: str = "GET", body: object = None
    ) -> Answer:
        """Ask a process directly, past entry and proxies."""
        return _request(self.stack.ports[process], method, path, body, {})

    def metric(self, process: str, sample: str) -> float:
        """Return a sample of a process's metrics page, 0 if it is not there yet."""
        for line in str(self.inside(process, "/metrics").body).splitlines():
            if line.startswith(sample):
                return float(line.rpartition(" ")[2])
        return 0.0

    def log_in(self, handle: str) -> User:
        answer = self.call("POST", "/v1/sessions", {"handle": handle, "password": PASSWORD})
        assert answer.status == 200, answer
        return User(self, answer.body["user_id"], handle, answer.body["token"])

    def newcomer(self) -> User:
        """Sign somebody up and log them in."""
        handle = f"n{uuid.uuid4().hex[:12]}"
        account = {"handle": handle, "password": PASSWORD, "display_name": "Newcomer"}
        answer = self.call("POST", "/v1/accounts", account)
        assert answer.status == 201, answer
        return self.log_in(handle)

    @contextmanager
    def lost(self, *edges: str) -> Iterator[None]:
        """Close the proxies of edges, and all connections through them, until the block ends."""
        for edge in edges:
            self._proxy("POST", f"/proxies/{edge}", {"enabled": False})
        try:
            yield
        finally:
            for edge in edges:
                self._proxy("POST", f"/proxies/{edge}", {"enabled": True})

    @contextmanager
    def toxic(self, edge: str, kind: str, **attributes: int) -> Iterator[None]:
        """Add a toxic to an edge's proxy for as long as the block runs."""
        toxic = {"name": "test", "type": kind, "attributes": attributes}
        self._proxy("POST", f"/proxies/{edge}/toxics", toxic)
        try:
            yield
        finally:
            self._proxy("DELETE", f"/proxies/{edge}/toxics/test")

    def _proxy(self, method: str, path: str, body: object = None) -> None:
        assert self.stack.toxiproxy_url is not None
        port = urlsplit(self.stack.toxiproxy_url).port
        assert _request(port, method, path, body, {}).status < 300


def _request(
    port: int | None, method: str, path: str, body: object, headers: dict[str, str]
) -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    started = time.monotonic()
    try:
        connection.request(
            method,
            path,
            None if body is None else json.dumps(body),
            {"Content-Type": "application/json"} | headers,
        )
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    took_s = time.monotonic() - started
    is_json = response.headers.get_content_type().endswith("json")
    decoded = json.loads(text) if is_json and text else text.decode() or None
    found = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, found, decoded, took_s)


def seconds_until(claim: Callable[[], bool], *, limit_s: float = 15.0) -> float:
    """Return after how many seconds the claim holds; fail if it does not in time."""
    started = time.monotonic()
    while not claim():
        waited_s = time.monotonic() - started
        assert waited_s < limit_s, f"not so after {waited_s:.1f} s"
        time.sleep(0.03)
    return time.monotonic() - started


class NoGuardian:
    """These stacks are taken down by their fixture."""

    def wrap(self, command: Sequence[str], name: str) -> list[str]:
        return list(command)

    def gone(self, pid: int) -> None: ...


@contextmanager
def _running(folder: Path, cache: Path, env: dict[str, str]) -> Iterator[WholeApp]:
    stack = ProcessStack(
        read_definition(STACK_FILE),
        seed=7,
        run_folder=RunFolder.create(folder, "whole", datetime.now(UTC)),
        guardian=NoGuardian(),
        env=env,
        cache_dir=cache,
    )
    with stack as up:
        yield WholeApp(up)


@pytest.fixture
def until() -> Callable[..., float]:
    return seconds_until


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, backend_cache: Path) -> Iterator[WholeApp]:
    with _running(tmp_path_factory.mktemp("runs"), backend_cache, {}) as whole:
        yield whole


@pytest.fixture(scope="module")
def start_app(
    tmp_path_factory: pytest.TempPathFactory, backend_cache: Path
) -> Callable[[dict[str, str]], AbstractContextManager[WholeApp]]:
    """Return what starts a stack of one's own, with these variables."""
    return lambda env: _running(tmp_path_factory.mktemp("runs"), backend_cache, env)


@pytest.fixture
def app_without_fallback(tmp_path: Path, backend_cache: Path) -> Iterator[WholeApp]:
    with _running(tmp_path, backend_cache, {"APP_FALLBACK_OFF": "feed-timeline"}) as whole:
        yield whole
