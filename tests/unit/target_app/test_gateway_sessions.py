"""Tokens at the gateway: verified offline, with a grace period while identity is lost."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request

from target_app.edge import Deadline
from target_app.gateway.pages import entity_tag, is_named_by
from target_app.identity.tokens import GRACE_S, KeyRing, Token, sign
from target_app.serving import Exchange, ServiceError
from target_app.serving.degradation import Degradation
from target_app.serving.exchange import SCOPE_KEY
from target_app.sessions import Sessions

NOW = 1_700_000_000.0
OLD = KeyRing("k1", {"k1": b"old key"})
BOTH = KeyRing("k2", {"k1": b"old key", "k2": b"new key"})


class FixedClock:
    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return NOW


class Recorder:
    def note_fallback(self, degradation: Degradation) -> None: ...


class Identity:
    """The keys as the gateway has them, and what it finds when it asks identity."""

    def __init__(self, known: KeyRing | None, answers: KeyRing | None) -> None:
        self.ring = known
        self.revoked = frozenset({8})
        self._answers = answers

    async def is_identity_lost(self) -> bool:
        if self._answers is None:
            return True
        self.ring = self._answers
        return False


def token(
    *, user_id: int = 7, expires_at: float = NOW + 60, ring: KeyRing = OLD, apps: int = 3
) -> str:
    return sign(Token(user_id, "somebody", NOW - 900, expires_at, apps), ring)


def look(
    header: str | None, *, known: KeyRing | None = OLD, answers: KeyRing | None = OLD
) -> tuple[Token, list[str]]:
    """Return whom the header speaks for, and what the answer is marked with."""
    headers = [] if header is None else [(b"authorization", header.encode())]
    exchange = Exchange(Recorder(), 0, 0, Deadline(1.0))
    request = Request({"type": "http", "headers": headers, SCOPE_KEY: exchange})
    sessions = Sessions(Identity(known, answers), FixedClock())
    found = asyncio.run(sessions.token_of(request))
    return found, [str(mark) for mark in exchange.degradations]


def test_a_good_token_needs_nobody() -> None:
    found, marks = look(f"Bearer {token()}", answers=None)
    assert (found.user_id, found.handle, marks) == (7, "somebody", [])


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(None, id="no header"),
        pytest.param("Bearer", id="no token"),
        pytest.param("Basic dTpw", id="another scheme"),
        pytest.param("Bearer nonsense", id="no token of ours"),
        pytest.param(f"Bearer {token()}x", id="a changed signature"),
        pytest.param(f"Bearer {token(expires_at=NOW - 1)}", id="expired while identity is there"),
    ],
)
def test_what_is_no_good_token_is_unauthorized(header: str | None) -> None:
    with pytest.raises(ServiceError) as caught:
        look(header)
    assert caught.value.status == 401
    assert caught.value.headers["WWW-Authenticate"] == "Bearer"


def test_an_expired_token_is_good_while_identity_is_lost_and_the_answer_says_so() -> None:
    found, marks = look(f"Bearer {token(expires_at=NOW - 1)}", answers=None)
    assert found.user_id == 7
    assert marks == ["session;mode=grace;cause=gw-identity"]


def test_the_grace_ends_after_a_quarter_of_an_hour() -> None:
    look(f"Bearer {token(expires_at=NOW - GRACE_S + 1)}", answers=None)
    with pytest.raises(ServiceError) as caught:
        look(f"Bearer {token(expires_at=NOW - GRACE_S)}", answers=None)
    assert caught.value.status == 401


def test_a_forged_token_gets_no_grace() -> None:
    forged = sign(Token(7, "somebody", 0.0, NOW + 60), KeyRing("k1", {"k1": b"other"}))
    with pytest.raises(ServiceError) as caught:
        look(f"Bearer {forged}", answers=None)
    assert caught.value.status == 401


def test_a_token_of_a_new_key_is_looked_at_again_with_fresh_keys() -> None:
    found, marks = look(f"Bearer {token(ring=BOTH)}", answers=BOTH)
    assert (found.user_id, marks) == (7, [])


def test_a_token_of_a_new_key_is_refused_for_now_while_identity_is_lost() -> None:
    with pytest.raises(ServiceError) as caught:
        look(f"Bearer {token(ring=BOTH)}", answers=None)
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")


def test_without_any_keys_the_gateway_asks_to_come_back() -> None:
    with pytest.raises(ServiceError) as caught:
        look(f"Bearer {token()}", known=None, answers=None)
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(None, False, id="no header"),
        pytest.param(entity_tag(b"page"), True, id="the same page"),
        pytest.param(entity_tag(b"other"), False, id="another page"),
        pytest.param(f'"x", {entity_tag(b"page")}', True, id="one of several"),
        pytest.param(entity_tag(b"page").removeprefix("W/"), True, id="as a strong tag"),
        pytest.param("*", True, id="any"),
    ],
)
def test_a_page_is_unchanged_if_its_tag_is_named(header: str | None, expected: bool) -> None:
    assert is_named_by(entity_tag(b"page"), header) is expected


def test_the_token_of_a_deleted_account_is_refused_before_it_expires() -> None:
    with pytest.raises(ServiceError) as caught:
        look(f"Bearer {token(user_id=8)}")
    assert caught.value.status == 401


def test_the_token_of_somebody_who_has_only_joined_photos_is_none_for_threads() -> None:
    with pytest.raises(ServiceError) as caught:
        look(f"Bearer {token(apps=1)}")
    assert (caught.value.status, caught.value.error) == (403, "not_joined")
    assert look(f"Bearer {token(apps=2)}")[0].user_id == 7
