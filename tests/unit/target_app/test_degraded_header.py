"""The ``Degraded`` header: its form, and that nothing can break out of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_app.serving.degradation import Degradation, parse_degraded, to_header

WORDS = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("degradations", "header"),
    [
        pytest.param(
            [Degradation("feed", "recency", "feed-timeline")],
            "feed;mode=recency;cause=feed-timeline",
            id="one without an age",
        ),
        pytest.param(
            [Degradation("counters", "stale", "graph-pg", 29.6)],
            "counters;mode=stale;cause=graph-pg;age=30",
            id="an age in whole seconds",
        ),
        pytest.param(
            [Degradation("feed", "pull", "a"), Degradation("posts", "cached", "b", 0.0)],
            "feed;mode=pull;cause=a, posts;mode=cached;cause=b;age=0",
            id="two in the order of marking",
        ),
        pytest.param(
            [Degradation("feed", "pull", "a"), Degradation("feed", "pull", "a")],
            "feed;mode=pull;cause=a",
            id="the same twice",
        ),
    ],
)
def test_the_header_names_feature_mode_and_cause(
    degradations: list[Degradation], header: str
) -> None:
    assert to_header(degradations) == header


@pytest.mark.parametrize("word", ["", "two words", "a;b", "a,b", "a\r\nSet-Cookie: x", "1st"])
def test_a_word_that_is_no_token_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="no token"):
        Degradation("feed", word, "feed-graph")


@given(WORDS, WORDS, WORDS, st.none() | st.integers(0, 10**6))
def test_what_was_written_can_be_read(
    feature: str, mode: str, cause: str, age_s: int | None
) -> None:
    degradation = Degradation(feature, mode, cause, age_s)
    assert parse_degraded(to_header([degradation]).split(",")) == [degradation]


def test_items_of_another_form_are_skipped() -> None:
    assert parse_degraded(["", "feed", "feed;mode=;cause=x", "feed;mode=pull;cause=x;age=y"]) == [
        Degradation("feed", "pull", "x")
    ]
