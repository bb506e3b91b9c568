"""Which key signs and which verify, while keys are announced, take over and go."""

from __future__ import annotations

import pytest

from target_app.identity.signing import ANNOUNCED_S, AnnouncedKey, ring_of
from target_app.identity.tokens import GRACE_S, LIFETIME_S, Token, sign, verify

FIRST = AnnouncedKey(1, 0.0)
SECOND = AnnouncedKey(2, 1000.0)
TAKES_OVER_S = SECOND.announced_s + ANNOUNCED_S


def test_a_single_key_signs_from_the_start_and_never_goes() -> None:
    for now_s in (ANNOUNCED_S, 1e9):
        ring = ring_of(7, [FIRST], now_s=now_s)
        assert (ring.current, set(ring.keys)) == ("k1", {"k1"})


@pytest.mark.parametrize(
    ("now_s", "signs", "verify_"),
    [
        pytest.param(1000.0, "k1", {"k1", "k2"}, id="just announced"),
        pytest.param(TAKES_OVER_S - 0.1, "k1", {"k1", "k2"}, id="before it signs"),
        pytest.param(TAKES_OVER_S, "k2", {"k1", "k2"}, id="it signs"),
        pytest.param(
            TAKES_OVER_S + LIFETIME_S + GRACE_S - 0.1, "k2", {"k1", "k2"}, id="an old token lives"
        ),
        pytest.param(TAKES_OVER_S + LIFETIME_S + GRACE_S, "k2", {"k2"}, id="no old token lives"),
    ],
)
def test_a_rotation_goes_from_announced_to_alone(
    now_s: float, signs: str, verify_: set[str]
) -> None:
    ring = ring_of(7, [FIRST, SECOND], now_s=now_s)
    assert (ring.current, set(ring.keys)) == (signs, verify_)


def test_a_token_of_the_old_key_is_good_until_it_expires_and_the_new_one_signs_otherwise() -> None:
    token = Token(5, "anna", TAKES_OVER_S - 1, TAKES_OVER_S - 1 + LIFETIME_S)
    old = sign(token, ring_of(7, [FIRST, SECOND], now_s=TAKES_OVER_S - 1))
    late_s = TAKES_OVER_S - 2 + LIFETIME_S
    ring = ring_of(7, [FIRST, SECOND], now_s=late_s)
    assert verify(old, ring, now_s=late_s) == token
    assert sign(token, ring).split(".")[1] == "k2"


def test_two_rotations_in_a_row_keep_every_key_that_may_have_signed() -> None:
    third = AnnouncedKey(3, SECOND.announced_s + 1)
    ring = ring_of(7, [FIRST, SECOND, third], now_s=TAKES_OVER_S + 2)
    assert (ring.current, set(ring.keys)) == ("k3", {"k1", "k2", "k3"})
