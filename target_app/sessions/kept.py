"""Pages that the feed keeps for the time without the graph."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from starlette.requests import Request

from target_app.edge import EdgeError, HttpEdge
from target_app.serving import exchange_of

__all__ = ["forget_pages"]


async def forget_pages(
    request: Request,
    feed: HttpEdge,
    user_ids: Iterable[int],
    note_error: Callable[[str, Exception], None],
) -> None:
    """Drop the kept pages of users that may show somebody who is not to be seen any more."""
    exchange = exchange_of(request)

    async def forget(user_id: int) -> None:
        try:
            await feed.request(
                "POST",
                f"/internal/feed/{user_id}/forget",
                headers=exchange.internal_headers(),
                deadline=exchange.deadline,
                idempotent=True,
            )
        except EdgeError as error:
            # What was written is stored. The page is used only while the graph is lost, and for a
            # minute at most.
            note_error("block", error)

    await asyncio.gather(*(forget(user_id) for user_id in user_ids))
