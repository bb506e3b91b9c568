"""Tokens: who may sign, what is refused and why."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_app.identity.passwords import hash_password
from target_app.identity.tokens import KeyRing, Token, TokenError, sign, verify

RING = KeyRing("k2", {"k1": b"old secret", "k2": b"new secret"})
TOKEN = Token(user_id=42, handle="anna", issued_at=1000.0, expires_at=1900.0)


def reason(text: str, *, now_s: float = 1500.0) -> str:
    with pytest.raises(TokenError) as caught:
        verify(text, RING, now_s=now_s)
    return caught.value.reason


def test_a_token_says_what_was_signed() -> None:
    assert verify(sign(TOKEN, RING), RING, now_s=1899.9) == TOKEN


def test_the_text_is_what_the_format_promises() -> None:
    version, key, payload, signature = sign(TOKEN, RING).split(".")
    assert (version, key) == ("v1", "k2")
    assert json.loads(base64.urlsafe_b64decode(payload + "==")) == {
        "user_id": 42,
        "handle": "anna",
        "issued_at": 1000.0,
        "expires_at": 1900.0,
        "apps": 3,
    }
    expected = hmac.new(b"new secret", f"v1.k2.{payload}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "=") == expected


def test_a_token_of_an_older_key_is_still_good() -> None:
    older = sign(TOKEN, KeyRing("k1", RING.keys))
    assert verify(older, RING, now_s=1500.0) == TOKEN


def test_an_expired_token_is_refused_with_what_it_said() -> None:
    with pytest.raises(TokenError) as caught:
        verify(sign(TOKEN, RING), RING, now_s=1900.0)
    assert caught.value.reason == "expired"
    assert caught.value.token == TOKEN


def test_a_token_of_an_unknown_key_is_refused() -> None:
    assert reason(sign(TOKEN, KeyRing("k9", {"k9": b"new secret"}))) == "unknown_key"


def test_another_payload_under_the_same_signature_is_forged() -> None:
    _, _, _, signature = sign(TOKEN, RING).split(".")
    other = sign(Token(1, "root", 1000.0, 1900.0), RING).rpartition(".")[0]
    assert reason(f"{other}.{signature}") == "forged"


@pytest.mark.parametrize(
    "text", ["", "v1", "v2.k2.e30.AAAA", "v1.k2.é.AAAA", "v1.k2.e30.é", "v1.k2.e30.*", "a.b.c.d"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    assert reason(text) in {"malformed", "forged"}


@given(st.text(max_size=60))
def test_no_text_makes_verification_fail_in_another_way(text: str) -> None:
    assert reason(text) in {"malformed", "forged", "unknown_key"}
    assert reason(f"v1.k2.{text}") in {"malformed", "forged"}


def test_tokens_outlive_a_restart_with_the_same_seed_only() -> None:
    text = sign(TOKEN, KeyRing.derived(7))
    assert verify(text, KeyRing.derived(7), now_s=1500.0) == TOKEN
    with pytest.raises(TokenError):
        verify(text, KeyRing.derived(8), now_s=1500.0)


def test_a_password_matches_its_own_hash_only() -> None:
    hashed = hash_password("launch-day", salt=b"salt", log2_n=4)
    assert hashed.matches("launch-day")
    assert not hashed.matches("launch-day ")
    assert hash_password("launch-day", salt=b"pepper", log2_n=4).digest != hashed.digest
