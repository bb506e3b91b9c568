"""Ranking against hand-computed weights."""

from __future__ import annotations

import math

import pytest

from target_app.feed.ranking import HALF_LIFE_S, Candidate, rank, score

NOW = 1_700_000_000.0


def candidate(post_id: int, *, age_s: float = 0.0, likes: int = 0, replies: int = 0) -> Candidate:
    return Candidate(
        post_id=post_id,
        author_id=post_id * 10,
        created_at=NOW - age_s,
        likes=likes,
        replies=replies,
    )


@pytest.mark.parametrize(
    ("age_s", "likes", "replies", "interactions", "expected"),
    [
        pytest.param(0.0, 0, 0, 0, 1.0, id="a new post without attention weighs one"),
        pytest.param(HALF_LIFE_S, 0, 0, 0, 0.5, id="one half-life halves it"),
        pytest.param(0.0, 1, 0, 0, 1 + math.log(2), id="one like"),
        pytest.param(0.0, 0, 1, 0, 1 + math.log(3), id="a reply counts as two likes"),
        pytest.param(0.0, 0, 0, 1, 1 + math.log(2), id="one interaction with the author"),
        pytest.param(
            2 * HALF_LIFE_S, 3, 2, 4, 0.25 * (1 + math.log(5)) * (1 + math.log(8)), id="all three"
        ),
        pytest.param(-60.0, 0, 0, 0, 1.0, id="a post from the future is not better than new"),
    ],
)
def test_the_score_is_freshness_times_affinity_times_engagement(
    age_s: float, likes: int, replies: int, interactions: int, expected: float
) -> None:
    post = candidate(1, age_s=age_s, likes=likes, replies=replies)
    assert score(post, now=NOW, interactions=interactions) == pytest.approx(expected)


def test_a_liked_older_post_beats_an_unliked_newer_one() -> None:
    posts = [candidate(1, age_s=60), candidate(2, age_s=3600, likes=20)]
    assert list(rank(posts, now=NOW, interactions={})) == [2, 1]


def test_a_favourite_author_comes_first_among_equals() -> None:
    posts = [candidate(1, age_s=10), candidate(2, age_s=10)]
    assert list(rank(posts, now=NOW, interactions={10: 3})) == [1, 2]
    assert list(rank(posts, now=NOW, interactions={20: 3})) == [2, 1]


def test_equal_scores_go_by_the_larger_id() -> None:
    assert list(rank([candidate(1), candidate(3), candidate(2)], now=NOW, interactions={})) == [
        3,
        2,
        1,
    ]


def test_nothing_ranks_to_nothing() -> None:
    assert list(rank([], now=NOW, interactions={})) == []
