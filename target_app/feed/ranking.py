"""Ranking of feed candidates: freshness x affinity x engagement, as a pure function."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["FOLLOW_WEIGHT", "HALF_LIFE_S", "Candidate", "rank", "score"]

# A quarter of a day: what was posted yesterday at this hour weighs a sixteenth of what is new, so
# that a much liked post of the morning still beats an unliked one of the last minute.
HALF_LIFE_S = 6 * 3600.0

# A reply takes more effort than a like: it counts as two.
REPLY_WEIGHT = 2.0


# Following somebody says as much as liking two of their posts.
FOLLOW_WEIGHT = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """What ranking needs to know of one post; ``created_at`` is in seconds since the epoch."""

    post_id: int
    author_id: int
    created_at: float
    likes: int = 0
    replies: int = 0


def score(candidate: Candidate, *, now: float, interactions: int) -> float:
    """Return the weight of one post for one viewer; larger is shown earlier.

    ``score = 2^(-age / H) * (1 + ln(1 + a)) * (1 + ln(1 + l + 2 r))``

    age  seconds since the post was made, at least 0
    H    ``HALF_LIFE_S``
    a    how close the viewer is to this author (``interactions``): one for each like of a post,
         ``FOLLOW_WEIGHT`` for each app in which the viewer follows the author
    l, r likes and replies of the post

    The logarithms keep one viral post or one favourite author from filling the page.
    """
    age_s = max(0.0, now - candidate.created_at)
    freshness = math.exp2(-age_s / HALF_LIFE_S)
    affinity = 1.0 + math.log1p(max(0, interactions))
    attention = max(0, candidate.likes) + REPLY_WEIGHT * max(0, candidate.replies)
    return freshness * affinity * (1.0 + math.log1p(attention))


def rank(
    candidates: Iterable[Candidate], *, now: float, interactions: Mapping[int, int]
) -> Sequence[int]:
    """Return the post ids in the order to be shown; equal scores go by the newer post, then id.

    ``interactions`` maps author ids to the viewer's number of interactions; absent means none.
    """
    ordered = sorted(
        candidates,
        key=lambda candidate: (
            -score(candidate, now=now, interactions=interactions.get(candidate.author_id, 0)),
            -candidate.created_at,
            -candidate.post_id,
        ),
    )
    return [candidate.post_id for candidate in ordered]
