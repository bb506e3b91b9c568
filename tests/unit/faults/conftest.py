"""Fakes for the faults' unit tests: a clock that never sleeps, and a Toxiproxy in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from surgeproof.errors import FaultIndefiniteError
from surgeproof.faults.toxiproxy import ToxiproxyServer
from surgeproof.faults.transport import Answer
from surgeproof.journal.events import EventLog, read_events


class FakeClock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def utc_now(self) -> datetime:
        return datetime(2023, 7, 5, tzinfo=UTC) + timedelta(seconds=self.now_s)

    def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)
        self.now_s += max(duration_s, 0.0)


class FakeToxiproxy:
    """The server's HTTP API in memory, as far as it is used, and a list of all changes.

    ``before`` sees each call and may raise or answer in the server's stead; ``log`` is shared
    with whatever else a test wants to see in order.
    """

    api_url = "http://127.0.0.1:8474"

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.proxies: dict[str, dict[str, Any]] = {}
        self.before: Callable[[str, str], Answer | None] = lambda method, path: None

    def add(self, name: str, *, enabled: bool = True) -> None:
        self.proxies[name] = {
            "name": name,
            "upstream": "127.0.0.1:5432",
            "listen": "127.0.0.1:40001",
            "enabled": enabled,
            "toxics": [],
        }

    def call(
        self, method: str, path: str, body: Any = None, *, read_s: float | None = None
    ) -> Answer:
        if method != "GET":
            self.log.append(f"call {method} {path}")
        instead = self.before(method, path)
        if instead is not None:
            return instead
        status, data = self.obey(method, path.strip("/").split("/")[1:], body)
        text = json.dumps(data)
        return Answer(status, json.loads(text), text)

    def obey(self, method: str, parts: list[str], body: Any) -> tuple[int, Any]:
        if not parts:
            if method == "GET":
                return 200, self.proxies
            self.add(body["name"], enabled=body["enabled"])
            self.proxies[body["name"]]["upstream"] = body["upstream"]
            return 201, self.proxies[body["name"]]
        proxy = self.proxies.get(parts[0])
        if proxy is None:
            return 404, {"error": "proxy not found", "status": 404}
        if len(parts) > 1:
            return self.obey_toxics(method, proxy["toxics"], parts[2:], body)
        if method == "PATCH":
            proxy.update(body)
        if method == "DELETE":
            del self.proxies[parts[0]]
            return 204, None
        return 200, proxy

    def obey_toxics(
        self, method: str, toxics: list[dict[str, Any]], parts: list[str], body: Any
    ) -> tuple[int, Any]:
        if not parts:
            if method == "POST":
                if any(toxic["name"] == body["name"] for toxic in toxics):
                    return 409, {"error": "toxic already exists", "status": 409}
                toxics.append(json.loads(json.dumps(body)))
                return 200, toxics[-1]
            return 200, toxics
        found = [toxic for toxic in toxics if toxic["name"] == parts[0]]
        if not found:
            return 404, {"error": "toxic not found", "status": 404}
        if method == "DELETE":
            toxics.remove(found[0])
            return 204, None
        if method == "PATCH":
            found[0]["toxicity"] = body["toxicity"]
            found[0]["attributes"].update(body["attributes"])
        return 200, found[0]

    def time_out(self, method: str, *, obey: bool) -> None:
        """Let calls of a method go unanswered, obeyed or not."""

        def hang(called: str, path: str) -> Answer | None:
            if called != method:
                return None
            if obey:
                self.obey(called, path.strip("/").split("/")[1:], None)
            raise FaultIndefiniteError(f"{called} {path} gave no answer")

        self.before = hang


class FakeGuardian:
    """Keeps what it is told; ``refuse`` makes it a dead one."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.open: dict[str, Any] = {}
        self.refuse: Exception | None = None

    def intent(self, fault_id: str, undo: Any) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.log.append(f"guardian intent {fault_id}")
        self.open[fault_id] = undo

    def undone(self, fault_id: str) -> None:
        self.log.append(f"guardian undone {fault_id}")
        self.open.pop(fault_id, None)


class LoggedEvents(EventLog):
    """A real journal that also notes each event in a list."""

    log: list[str]

    def append(self, event: str, *, sync: bool = False, **fields: object) -> Any:
        made = super().append(event, sync=sync, **fields)
        # Read back from the file: what counts is what is on the disk at that moment.
        self.log.append(f"event {list(read_events(Path(self._file.name)))[-1].event}")
        return made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def order() -> list[str]:
    """What happened, in order: events, calls that change something, messages to the guardian."""
    return []


@pytest.fixture
def api(order: list[str]) -> FakeToxiproxy:
    fake = FakeToxiproxy(order)
    fake.add("graph-pg")
    fake.add("feed-timeline")
    return fake


@pytest.fixture
def server(api: FakeToxiproxy) -> ToxiproxyServer:
    return ToxiproxyServer(api.api_url, transport=api)


@pytest.fixture
def guardian(order: list[str]) -> FakeGuardian:
    return FakeGuardian(order)


@pytest.fixture
def events(tmp_path: Path, clock: FakeClock, order: list[str]) -> Iterator[LoggedEvents]:
    with LoggedEvents(tmp_path / "events.jsonl", clock, t0=1000.0) as log:
        log.log = order
        yield log
