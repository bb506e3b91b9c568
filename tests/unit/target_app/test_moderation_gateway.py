"""Moderation at the gateway: a text that nobody judged in time is kept, and shown to nobody."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.requests import Request

from target_app.edge import Deadline, EdgeFailedError, EdgeOpenError, EdgeTimeoutError, HttpAnswer
from target_app.gateway.moderation import Moderation, PostState
from target_app.serving import Exchange, ServiceError
from target_app.serving.degradation import Degradation
from target_app.serving.exchange import SCOPE_KEY

EDGE = "gw-moderation"


class Recorder:
    def note_fallback(self, degradation: Degradation) -> None: ...


@dataclass
class Host:
    """A service whose edge to moderation answers as told."""

    answers: Any
    is_on: bool = True
    defects: tuple[str, ...] = ()
    has_fallback: bool = True
    handled: list[str] = field(default_factory=list)
    asked: int = 0

    @property
    def flags(self) -> Any:
        host = self

        class Flags:
            def is_on(self, name: str) -> bool:
                assert name == "moderation.enabled"
                return host.is_on

        return Flags()

    def http_edge(self, name: str) -> Any:
        assert name == EDGE
        return self

    def has_defect(self, name: str) -> bool:
        return name in self.defects

    def fallback_allowed(self, edge: str) -> bool:
        return self.has_fallback

    def note_error(self, feature: str, error: Exception) -> None:
        self.handled.append(feature)

    async def request(self, method: str, path: str, **_: Any) -> HttpAnswer:
        assert (method, path) == ("POST", "/moderation/check")
        self.asked += 1
        if isinstance(self.answers, Exception):
            raise self.answers
        return HttpAnswer(200, {}, json.dumps(self.answers).encode())


def review(host: Host) -> tuple[PostState, list[str]]:
    exchange = Exchange(Recorder(), 1, 0, Deadline(1.0))
    request = Request({"type": "http", "headers": [], SCOPE_KEY: exchange})
    state = asyncio.run(Moderation(host).review(request, "hello"))
    return state, [str(mark) for mark in exchange.degradations]


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        pytest.param("ok", PostState.VISIBLE, id="harmless"),
        pytest.param("review", PostState.PENDING, id="doubtful"),
        pytest.param("shrug", PostState.PENDING, id="a word of a later version"),
    ],
)
def test_a_verdict_decides_who_sees_the_post(verdict: str, expected: PostState) -> None:
    assert review(Host({"verdict": verdict})) == (expected, [])


def test_a_rejected_text_is_not_written() -> None:
    with pytest.raises(ServiceError) as caught:
        review(Host({"verdict": "reject"}))
    assert (caught.value.status, caught.value.error) == (422, "rejected")


LOSSES = [
    pytest.param(EdgeFailedError(EDGE, "refused"), id="down"),
    pytest.param(EdgeTimeoutError(EDGE, "no answer within 50 ms"), id="slow"),
    pytest.param(EdgeOpenError(EDGE, "the breaker is open"), id="known to be lost"),
    pytest.param({"answer": "nonsense"}, id="nonsense"),
]


@pytest.mark.parametrize("loss", LOSSES)
def test_without_an_answer_the_post_waits_and_the_author_is_told(loss: object) -> None:
    host = Host(loss)
    marks = ["moderation;mode=pending;cause=gw-moderation"]
    assert review(host) == (PostState.PENDING, marks)
    assert host.handled == ["moderation"]


@pytest.mark.parametrize("loss", LOSSES)
def test_failing_open_is_what_the_defect_does(loss: object) -> None:
    host = Host(loss, defects=("fail_open_moderation",))
    assert review(host) == (PostState.VISIBLE, [])


def test_with_its_fallback_off_the_loss_is_an_error() -> None:
    with pytest.raises(EdgeFailedError):
        review(Host(EdgeFailedError(EDGE, "refused"), has_fallback=False))


def test_switched_off_nobody_is_asked() -> None:
    host = Host({"verdict": "reject"}, is_on=False)
    assert review(host) == (PostState.VISIBLE, [])
    assert host.asked == 0


def test_the_states_have_the_words_of_the_public_interface() -> None:
    assert [state.word for state in PostState] == ["visible", "pending_review"]
    assert [int(state) for state in PostState] == [1, 2]
