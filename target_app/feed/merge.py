"""Merging of timelines: pushed posts and pulled ones become one list, newest first."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence

__all__ = ["merge"]


def merge(
    sources: Iterable[Iterable[int]], *, before: int | None, limit: int, since: int = 0
) -> Sequence[int]:
    """Return the newest ``limit`` distinct post ids that come strictly after ``before``.

    Ids sort by time, so newest first is largest first; an id that several sources hold counts
    once. ``before`` is the oldest id taken so far, None at the start; ``since`` the newest one
    that is not wanted. Sources need no order.
    """
    most = math.inf if before is None else before
    distinct = {post_id for source in sources for post_id in source if since < post_id < most}
    return heapq.nlargest(limit, distinct)
