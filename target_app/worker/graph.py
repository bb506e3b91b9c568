"""What the worker has the graph process do, and asks of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from target_app.edge import HttpEdge

__all__ = ["GraphChores"]

_HEADERS = {"X-Tier": "T1"}


class _Joined(msgspec.Struct):
    next_after: int | None


class GraphChores:
    """Calls over the edge ``worker-graph``; all may be repeated. Raise EdgeError if it is lost."""

    def __init__(self, edge: HttpEdge) -> None:
        self._edge = edge

    async def join(self, user_id: int, *, imports: bool) -> None:
        """Have those who waited for a user follow them, and import the user's own follows."""
        after: int | None = 0
        while after is not None:
            answer = await self._post(f"users/{user_id}/join", {"imports": imports, "after": after})
            after = msgspec.json.decode(answer, type=_Joined).next_after

    async def forget_user(self, user_id: int) -> None:
        """End what ties a deleted account to others."""
        path = f"/internal/users/{user_id}"
        await self._edge.request("DELETE", path, headers=_HEADERS)

    async def invalidate(
        self,
        *,
        user_ids: Sequence[int] = (),
        post_ids: Sequence[int] = (),
        handles: Sequence[str] = (),
    ) -> None:
        """Have what has changed dropped from the caches."""
        changed = {"user_ids": user_ids, "post_ids": post_ids, "handles": handles}
        await self._post("invalidate", changed)

    async def review(self, post_id: int, state: int) -> None:
        """Show a post that waited to others (1), or take it away (3)."""
        await self._post(f"posts/{post_id}/review", {"state": state})

    async def _post(self, path: str, body: object) -> bytes:
        answer = await self._edge.request(
            "POST", f"/internal/{path}", json=body, headers=_HEADERS, idempotent=True
        )
        return answer.body
