"""Followers, asked of the graph process."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from target_app.edge import HttpEdge

__all__ = ["GraphFollowers"]

# Ahead of all other requests of its tier: if fan-out waits, every feed goes stale and says so.
_HEADERS = {"X-Tier": "T1", "X-User-Prio": "0"}


class _ProfileBody(msgspec.Struct):
    followers: int


class _IdsBody(msgspec.Struct):
    ids: list[int]


class GraphFollowers:
    """Reads over the edge ``worker-graph``; every method raises EdgeError if it is lost."""

    def __init__(self, edge: HttpEdge) -> None:
        self._edge = edge

    async def count(self, user_id: int) -> int:
        """Return the number of a user's followers (up to some seconds old), 0 if unknown."""
        answer = await self._edge.request(
            "GET", f"/internal/users/{user_id}/profile", headers=_HEADERS
        )
        return 0 if answer.status == 404 else answer.json(_ProfileBody).followers

    async def chunk(self, user_id: int, *, after: int, limit: int) -> Sequence[int]:
        """Return followers with ids above ``after``, in rising order."""
        answer = await self._edge.request(
            "GET",
            f"/internal/users/{user_id}/followers?after={after}&limit={limit}",
            headers=_HEADERS,
        )
        return answer.json(_IdsBody).ids
