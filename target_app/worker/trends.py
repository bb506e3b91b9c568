"""Trending tags: counted in buckets of 10 s over 10 min, decayed, as plain data."""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BUCKET_S", "HALF_LIFE_S", "WINDOW_S", "TagCount", "TagTrends", "tags_in"]

BUCKET_S = 10.0
WINDOW_S = 600.0

# A fifth of the window: a tag that stops being used falls to 1/32 before it leaves the window,
# so it fades out of the list rather than dropping from the top of it.
HALF_LIFE_S = 120.0

# More tags than this in one post are taken for spam; the rest are ignored.
MAX_TAGS_PER_POST = 8

_TAG = re.compile(r"(?<!\w)#(\w{1,64})")


@dataclass(frozen=True, slots=True)
class TagCount:
    """One line of the list: uses within the window, and the decayed score that orders it."""

    tag: str
    uses: int
    score: float


def tags_in(text: str) -> Sequence[str]:
    """Return the distinct tags of a text in lower case, without ``#``, in order of appearance."""
    found = dict.fromkeys(match.lower() for match in _TAG.findall(text))
    return list(found)[:MAX_TAGS_PER_POST]


class TagTrends:
    """Counts uses of tags per bucket; memory is bounded by the tags used within the window.

    Times are seconds since the epoch and come from the events, so a replay of the stream gives
    the same counts. Not safe for use from several threads.
    """

    def __init__(self) -> None:
        # Oldest first; late events are put into the bucket they belong to, not the newest.
        self._buckets: deque[tuple[int, Counter[str]]] = deque()

    def add(self, tags: Sequence[str], *, at: float, now: float) -> None:
        """Count one use of each tag at time ``at``; older than the window is ignored."""
        if not tags or at <= now - WINDOW_S:
            return
        # An event from the future (clocks differ) counts as happening now.
        index = int(min(at, now) // BUCKET_S)
        for place in range(len(self._buckets) - 1, -1, -1):
            known, counts = self._buckets[place]
            if known == index:
                counts.update(tags)
                return
            if known < index:
                self._buckets.insert(place + 1, (index, Counter(tags)))
                return
        self._buckets.appendleft((index, Counter(tags)))

    def top(self, limit: int, *, now: float) -> Sequence[TagCount]:
        """Return at most ``limit`` tags, highest score first, equal scores by name.

        ``score(tag) = sum over buckets b of uses(tag, b) * 2^(-age(b) / HALF_LIFE_S)``, where
        ``age(b)`` is the time in seconds from the start of the bucket to ``now``.
        """
        self._forget(now)
        uses: Counter[str] = Counter()
        scores: dict[str, float] = {}
        for index, counts in self._buckets:
            weight = math.exp2(-max(0.0, now - index * BUCKET_S) / HALF_LIFE_S)
            uses.update(counts)
            for tag, count in counts.items():
                scores[tag] = scores.get(tag, 0.0) + weight * count
        ordered = sorted(scores, key=lambda tag: (-scores[tag], tag))[:limit]
        return [TagCount(tag=tag, uses=uses[tag], score=scores[tag]) for tag in ordered]

    def _forget(self, now: float) -> None:
        oldest = (now - WINDOW_S) // BUCKET_S
        while self._buckets and self._buckets[0][0] <= oldest:
            self._buckets.popleft()
