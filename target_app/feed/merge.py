"""Merging of timelines: pushed posts and pulled ones become one list, newest first."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

__all__ = ["merge"]


def merge(sources: Iterable[Iterable[int]], *, before: int | None, limit: int) -> Sequence[int]:
    """Return the newest ``limit`` distinct post ids that come strictly after ``before``.

    Ids sort by time, so newest first is largest first; an id that several sources hold counts
    once. ``before`` is the oldest id taken so far, None at the start. Sources need no order.
    """
    distinct = {
        post_id for source in sources for post_id in source if before is None or post_id < before
    }
    return heapq.nlargest(limit, distinct)
