"""Popular posts: what a newcomer who follows nobody yet is shown."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from target_app.edge.postgres import PostgresEdge
from target_app.serving import ServiceRoute, exchange_of, json_answer, read_number

__all__ = ["POPULAR", "PopularPosts"]

_MOST = 100
# How far back the newest posts go: at the launch's peak about a minute, on a quiet day a day.
_WINDOW = 1000

# The most liked of the newest public posts that are no replies ($1 of them, $2 newest looked at).
# A reply counts as two likes, as in the ranking of feeds.
POPULAR = """
SELECT p.post_id
FROM (SELECT * FROM posts ORDER BY post_id DESC LIMIT $2) p
JOIN accounts a ON a.user_id = p.author_id
WHERE p.state = 1 AND p.reply_to IS NULL AND p.repost_of IS NULL
  AND NOT a.is_private AND a.deleted_at IS NULL
ORDER BY p.likes + 2 * p.replies DESC, p.post_id DESC LIMIT $1
"""


class PopularPosts:
    """Answers ``GET /internal/popular``; the feed asks every few seconds, whoever reads."""

    def __init__(self, postgres: PostgresEdge) -> None:
        self._postgres = postgres

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the route."""
        return (ServiceRoute("GET", "/internal/popular", self.show, 0, "feed"),)

    async def show(self, request: Request) -> Response:
        """Return post ids, the most popular first; who may see them is asked with the posts."""
        limit = read_number(request.query_params, "limit", _MOST, most=_MOST)
        deadline = exchange_of(request).deadline
        rows = await self._postgres.fetch(POPULAR, limit, _WINDOW, deadline=deadline)
        return json_answer(request, {"ids": [row["post_id"] for row in rows]})
