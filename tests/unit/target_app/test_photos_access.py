"""What photos shows when identity or graph say no, or say nothing, with and without its defects."""

from __future__ import annotations

import asyncio
from typing import cast

import msgspec
import pytest
from starlette.requests import Request

from target_app.edge import Deadline, EdgeFailedError, HttpAnswer, HttpEdge
from target_app.photos.access import Access
from target_app.serving import Exchange, Service, ServiceError
from target_app.serving.degradation import Degradation
from target_app.serving.exchange import SCOPE_KEY

ANNA = {
    "user_id": 7,
    "handle": "anna",
    "display_name": "Anna",
    "bio": "",
    "avatar": None,
    "is_private": False,
    "version": 1,
}


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


class FakeService:
    def __init__(self, *defects: str) -> None:
        self.clock = FakeClock()
        self.errors: list[str] = []
        self._defects = defects

    def has_defect(self, word: str) -> bool:
        return word in self._defects

    def fallback_allowed(self, edge: str) -> bool:
        return edge == "photos-identity"

    def note_error(self, feature: str, error: Exception) -> None:
        self.errors.append(feature)

    def note_fallback(self, degradation: Degradation) -> None: ...


class FakeEdge:
    """Answers every request with the same status and body; None is lost."""

    def __init__(self, status: int | None, body: object = None) -> None:
        self.answers(status, body)

    def answers(self, status: int | None, body: object = None) -> None:
        self._status, self._body = status, body

    async def request(self, *_: object, **__: object) -> HttpAnswer:
        if self._status is None:
            raise EdgeFailedError("photos-identity", "gone")
        return HttpAnswer(self._status, {}, msgspec.json.encode(self._body))


class Photos:
    """An Access over fakes."""

    def __init__(self, *defects: str) -> None:
        self.service = FakeService(*defects)
        self.identity = FakeEdge(200, ANNA)
        self.graph = FakeEdge(200, {"hidden": {}})
        self.access = Access(
            cast("Service", self.service),
            cast("HttpEdge", self.identity),
            cast("HttpEdge", self.graph),
        )
        self.exchange = Exchange(self.service, 1, 0, Deadline(1e9))
        self._request = Request({"type": "http", "headers": [], SCOPE_KEY: self.exchange})

    def name_of(self, handle: str) -> str:
        return asyncio.run(self.access.user_by_handle(self._request, handle)).display_name

    def look_at(self, user_id: int) -> None:
        asyncio.run(self.access.require_visible(self._request, 1, user_id))

    @property
    def marks(self) -> list[str]:
        return [str(mark) for mark in self.exchange.degradations]


def test_a_handle_that_was_given_up_names_nobody_any_more() -> None:
    photos = Photos()
    assert photos.name_of("anna") == "Anna"
    photos.identity.answers(404, {})
    with pytest.raises(ServiceError) as caught:
        photos.name_of("anna")
    assert caught.value.status == 404


def test_with_the_defect_stale_handle_the_old_name_stays_for_minutes() -> None:
    photos = Photos("stale_handle")
    photos.name_of("anna")
    photos.identity.answers(200, ANNA | {"user_id": 8, "display_name": "Somebody else"})
    photos.service.clock.now_s += 240
    assert photos.name_of("anna") == "Anna"


def test_while_identity_is_lost_a_remembered_name_is_shown_and_marked() -> None:
    photos = Photos()
    photos.name_of("anna")
    photos.identity.answers(None)
    photos.service.clock.now_s += 20
    assert photos.name_of("anna") == "Anna"
    assert photos.marks == ["names;mode=cached;cause=photos-identity;age=20"]
    assert photos.service.errors == ["names"]
    with pytest.raises(EdgeFailedError):
        photos.name_of("nobody.yet")
    photos.service.clock.now_s += 300
    with pytest.raises(EdgeFailedError):
        photos.name_of("anna")


def test_a_blocked_person_sees_nothing() -> None:
    photos = Photos()
    photos.look_at(7)
    photos.graph.answers(200, {"hidden": {"7": "blocked"}})
    with pytest.raises(ServiceError) as caught:
        photos.look_at(7)
    assert caught.value.status == 404


def test_with_the_defect_block_not_honoured_cross_app_a_blocked_person_sees_it_all() -> None:
    photos = Photos("block_not_honoured_cross_app")
    photos.graph.answers(200, {"hidden": {"7": "blocked"}})
    photos.look_at(7)


def test_while_the_graph_is_lost_nothing_is_shown() -> None:
    photos = Photos()
    photos.graph.answers(None)
    with pytest.raises(EdgeFailedError):
        photos.look_at(7)
