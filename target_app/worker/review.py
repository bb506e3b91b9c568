"""Posts that nobody could judge in time are judged here, once moderation answers again."""

from __future__ import annotations

import msgspec

from target_app.edge import HttpEdge, PostgresEdge
from target_app.worker.fanout import SeenIds

__all__ = ["PENDING", "Reviewer"]

PENDING = """
SELECT post_id, text FROM posts WHERE state = 2 AND post_id > $1 ORDER BY post_id LIMIT $2
"""

_PAGE = 200
_PAUSE_S = 0.5

# Posts that were left to a person: not asked about again while this process lives.
_DOUBTFUL = 20_000

# What becomes of a post: its state in the database. Any other verdict leaves it waiting.
_STATES = {"ok": 1, "reject": 3}


class _Verdict(msgspec.Struct):
    verdict: str


class Reviewer:
    """Goes through the posts that wait, page by page, and from the beginning again."""

    def __init__(self, postgres: PostgresEdge, moderation: HttpEdge, graph: HttpEdge) -> None:
        self._postgres = postgres
        self._moderation = moderation
        self._graph = graph
        self._after = 0
        self._doubtful = SeenIds(_DOUBTFUL)

    async def review_page(self) -> float:
        """Judge one page of posts and return how long to wait before the next.

        Raises EdgeError if somebody who is needed is lost: the rest of the page is judged later.
        """
        rows = await self._postgres.fetch(PENDING, self._after, _PAGE)
        for row in rows:
            post_id = row["post_id"]
            if post_id not in self._doubtful:
                await self._review(post_id, row["text"])
            self._after = post_id
        if len(rows) < _PAGE:
            self._after = 0
        return _PAUSE_S

    async def _review(self, post_id: int, text: str) -> None:
        answer = await self._moderation.request(
            "POST", "/moderation/check", json={"text": text}, idempotent=True
        )
        state = _STATES.get(answer.json(_Verdict).verdict)
        if state is None:
            self._doubtful.add(post_id)
            return
        path = f"/internal/posts/{post_id}/review"
        await self._graph.request("POST", path, json={"state": state}, idempotent=True)
