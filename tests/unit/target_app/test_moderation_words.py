"""Verdicts of the word list: the plain cases, and the tricks that shall not help."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_app.side.words import score, verdict


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("good morning #launch", "ok", id="a greeting"),
        pytest.param("see https://a.example and https://b.example", "ok", id="two links"),
        pytest.param("limited offer, follow for follow", "review", id="two habits of spam"),
        pytest.param("free crypto for you", "review", id="one doubtful phrase"),
        pytest.param("BUY  followers today", "reject", id="case and spaces"),
        pytest.param("buy fol\u200blowers today", "reject", id="a hidden character"),
        pytest.param("\uff42\uff55\uff59 followers", "reject", id="wide letters"),
        pytest.param("rebuy followersome", "ok", id="only inside other words"),
        pytest.param("https://x.example " * 4, "review", id="four links"),
        pytest.param("", "ok", id="nothing"),
    ],
)
def test_a_text_gets_its_verdict(text: str, expected: str) -> None:
    assert verdict(score(text)) == expected


@given(st.text(max_size=500))
def test_every_text_has_a_score_from_0_to_1(text: str) -> None:
    assert 0 <= score(text) <= 1
