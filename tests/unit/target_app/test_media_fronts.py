"""Images at the gateway: from either front, a placeholder without both, and uploads in turn."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge import Deadline, EdgeError, EdgeTimeoutError, HttpAnswer
from target_app.gateway.media import Media
from target_app.serving import Exchange, ServiceError
from target_app.serving.degradation import Degradation
from target_app.serving.exchange import SCOPE_KEY

PNG = b"\x89PNG\r\n\x1a\n" + b"dots"
NAME = hashlib.sha256(PNG).hexdigest()


class Recorder:
    def note_fallback(self, degradation: Degradation) -> None: ...


@dataclass
class Store:
    """All three edges of the gateway to the store; those in ``lost`` fail."""

    lost: tuple[str, ...] = ()
    has_fallback: bool = True
    is_off: bool = False
    asked: list[str] = field(default_factory=list)
    spent: list[tuple[str, int]] = field(default_factory=list)

    def http_edge(self, name: str) -> Any:
        async def request(method: str, path: str, **sent: Any) -> HttpAnswer:
            self.asked.append(name)
            if name in self.lost:
                raise EdgeTimeoutError(name, "silence")
            if method == "POST":
                digest = hashlib.sha256(sent["body"]).hexdigest()
                return HttpAnswer(201, {}, json.dumps({"sha256": digest}).encode())
            if path != f"/media/{NAME}":
                return HttpAnswer(404, {}, b"")
            return HttpAnswer(200, {"Content-Type": "image/png"}, PNG)

        return SimpleNamespace(request=request)

    @property
    def knobs(self) -> Any:
        return SimpleNamespace(is_off=lambda feature: feature == "upload" and self.is_off)

    def fallback_allowed(self, edge: str) -> bool:
        return self.has_fallback

    def note_error(self, feature: str, error: Exception) -> None: ...

    async def take(self, request: Request, action: str, user_id: int) -> None:
        self.spent.append((action, user_id))

    async def token_of(self, request: Request) -> Any:
        return SimpleNamespace(user_id=7)


def ask(
    store: Store, handler: str, *, body: bytes = b"", is_shadow: bool = False, **told: str
) -> tuple[Response, list[str]]:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    exchange = Exchange(Recorder(), 2, 0, Deadline(1.0))
    exchange.is_shadow = is_shadow
    tag = told.pop("tag", "")
    headers = [(b"if-none-match", tag.encode())] if tag else []
    scope = {"type": "http", "headers": headers, "path_params": told, SCOPE_KEY: exchange}
    context = SimpleNamespace(
        service=store, sessions=store, limits=store, count_write=lambda kind, answer: None
    )
    media = Media(context)  # type: ignore[arg-type]
    response = asyncio.run(getattr(media, handler)(Request(scope, receive)))
    return response, [str(mark) for mark in exchange.degradations]


@pytest.mark.parametrize("cdn", ["a", "b"])
def test_an_image_comes_from_the_front_that_was_asked_for_and_may_be_kept_for_ever(
    cdn: str,
) -> None:
    store = Store()
    response, marks = ask(store, "show", cdn=cdn, sha256=NAME)
    assert (response.status_code, response.body, marks) == (200, PNG, [])
    assert response.headers["X-Cdn"] == cdn
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["ETag"] == f'"{NAME}"'
    assert "immutable" in response.headers["Cache-Control"]
    assert store.asked == [f"cdn-{cdn}"]


@pytest.mark.parametrize(("cdn", "other"), [("a", "b"), ("b", "a")])
def test_without_one_front_the_other_serves_it_and_says_so(cdn: str, other: str) -> None:
    response, marks = ask(Store(lost=(f"cdn-{cdn}",)), "show", cdn=cdn, sha256=NAME)
    assert (response.body, response.headers["X-Cdn"]) == (PNG, other)
    assert marks == [f"media;mode=other-cdn;cause=cdn-{cdn}"]


def test_without_both_there_is_a_placeholder_that_nobody_keeps() -> None:
    response, marks = ask(Store(lost=("cdn-a", "cdn-b")), "show", cdn="a", sha256=NAME)
    assert (response.status_code, response.body[:6]) == (200, b"GIF89a")
    assert response.headers["Cache-Control"] == "no-store"
    assert marks == ["media;mode=placeholder;cause=cdn-a"]


def test_with_its_fallback_off_the_loss_of_a_front_is_an_error() -> None:
    store = Store(lost=("cdn-a",), has_fallback=False)
    with pytest.raises(EdgeError):
        ask(store, "show", cdn="a", sha256=NAME)


@pytest.mark.parametrize(
    ("cdn", "name"),
    [
        pytest.param("a", "0" * 64, id="an image that was never brought"),
        pytest.param("c", NAME, id="no such front"),
        pytest.param("a", NAME.upper(), id="no name of ours"),
        pytest.param("a", "..", id="a way out of the folder"),
    ],
)
def test_what_is_not_there_is_unknown(cdn: str, name: str) -> None:
    with pytest.raises(ServiceError) as caught:
        ask(Store(), "show", cdn=cdn, sha256=name)
    assert caught.value.status == 404


def test_who_has_the_image_already_costs_no_call() -> None:
    store = Store()
    response, _ = ask(store, "show", cdn="a", sha256=NAME, tag=f'W/"{NAME}"')
    assert (response.status_code, store.asked) == (304, [])


def test_an_upload_is_paid_for_and_named_at_both_fronts() -> None:
    store = Store()
    response, _ = ask(store, "upload", body=PNG)
    answer = json.loads(response.body)
    assert (response.status_code, answer["sha256"]) == (201, NAME)
    assert sorted(answer["urls"]) == [f"/m/a/{NAME}", f"/m/b/{NAME}"]
    assert store.spent == [("upload", 7)]


def test_a_shadow_upload_is_answered_alike_and_stored_nowhere() -> None:
    store = Store()
    response, _ = ask(store, "upload", body=PNG, is_shadow=True)
    assert (response.status_code, json.loads(response.body)["sha256"]) == (201, NAME)
    assert store.asked == []


def test_uploads_can_be_switched_off() -> None:
    with pytest.raises(ServiceError) as caught:
        ask(Store(is_off=True), "upload", body=PNG)
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "30")


def test_an_upload_without_its_store_is_refused() -> None:
    with pytest.raises(EdgeTimeoutError):
        ask(Store(lost=("gw-media",)), "upload", body=PNG)


def test_what_is_no_image_never_reaches_the_store() -> None:
    store = Store()
    with pytest.raises(ServiceError) as caught:
        ask(store, "upload", body=b"<svg/>")
    assert (caught.value.status, store.asked) == (415, [])
