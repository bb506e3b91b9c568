"""The push sink: what its books say about what it was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from target_app.edge import Deadline
from target_app.serving import Exchange, ServiceError
from target_app.serving.degradation import Degradation
from target_app.serving.exchange import SCOPE_KEY
from target_app.side.push import PushSink
from target_app.side.settings import SideSettings

NOW = 1_000.0


class FixedClock:
    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return NOW


class Recorder:
    def note_fallback(self, degradation: Degradation) -> None: ...


def ask(handler: Callable[..., Any], body: object, query: str = "") -> Any:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    scope = {
        "type": "http",
        "method": "POST",
        "headers": [],
        "query_string": query.encode(),
        SCOPE_KEY: Exchange(Recorder(), 2, 0, Deadline(1.0)),
    }
    return json.loads(asyncio.run(handler(Request(scope, receive))).body)


def sink(**settings: float) -> PushSink:
    return PushSink(SideSettings(Path(), **settings), seed=1, clock=FixedClock())


def message(key: str = "k", *, device: str = "d", expires_at: float = NOW) -> dict[str, object]:
    return {"device": device, "dedup_key": key, "expires_at": expires_at, "body": "hello"}


def test_a_message_that_comes_twice_is_booked_once_as_delivered_and_once_as_duplicated() -> None:
    books = sink()
    assert [ask(books.send, message(key))["result"] for key in ("a", "b", "a")] == [
        "delivered",
        "delivered",
        "duplicate",
    ]
    expected = {"delivered": 2, "duplicated": 1, "late": 0, "refused": 0, "times": 2}
    assert ask(books.show_ledger, None, "dedup_key=a") == expected


def test_a_message_that_comes_after_its_time_is_dropped_and_booked_late() -> None:
    books = sink()
    assert ask(books.send, message(expires_at=NOW - 0.1)) == {"result": "expired"}
    assert ask(books.show_ledger, None) == {
        "delivered": 0,
        "duplicated": 0,
        "late": 1,
        "refused": 0,
    }


def test_a_device_that_is_gone_stays_gone() -> None:
    def gone(books: PushSink) -> list[tuple[int, str]]:
        found = []
        for number in range(50):
            try:
                ask(books.send, message(str(number), device=f"d{number}"))
            except ServiceError as error:
                found.append((error.status, f"d{number}"))
        return found

    books = sink(gone_ratio=0.2)
    first = gone(books)
    assert 0 < len(first) < 50
    assert {status for status, _ in first} == {410}
    assert gone(books) == first == gone(sink(gone_ratio=0.2))


def test_a_busy_sink_asks_to_come_back_and_delivers_nothing() -> None:
    books = sink(busy_ratio=1.0)
    with pytest.raises(ServiceError) as caught:
        ask(books.send, message())
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "1")
    assert ask(books.show_ledger, None)["refused"] == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([], id="no object"),
        pytest.param({"device": "d"}, id="half a message"),
        pytest.param(message() | {"expires_at": "soon"}, id="a time in words"),
        pytest.param(message() | {"dedup_key": "k" * 200}, id="a key that is too long"),
    ],
)
def test_what_is_no_message_is_refused_and_not_booked(body: object) -> None:
    books = sink()
    with pytest.raises(ServiceError) as caught:
        ask(books.send, body)
    assert caught.value.status == 400
    assert sum(ask(books.show_ledger, None).values()) == 0


def test_settings_of_the_side_process_are_checked_whole() -> None:
    told = {"APP_PUSH_GONE": "2", "APP_MODERATION_COST_MS": "slow", "APP_MEDIA_DIR": "/m"}
    with pytest.raises(ValueError, match="APP_MODERATION_COST_MS is 'slow'") as caught:
        SideSettings.from_environment(told, None)
    assert "APP_PUSH_GONE is '2' (accepted: a number, 0 to 1)" in str(caught.value)
    told = {"APP_PUSH_GONE": "0.5", "APP_MODERATION_COST_MS": "30"}
    assert SideSettings.from_environment(told, Path("/logs")) == SideSettings(
        Path("/logs/media"), moderation_cost_s=0.03, gone_ratio=0.5
    )
