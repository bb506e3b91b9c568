"""What events mean beyond timelines: joins, deletions, names that change, notifications."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from target_app.edge import PostgresEdge
from target_app.worker.events import (
    AccountChanged,
    Event,
    LikeAdded,
    Pair,
    PostCreated,
    PostDeleted,
    decode_body,
)

__all__ = ["ChoreHandler", "Graph", "NotificationStore", "Notifier"]

_MENTION = re.compile(r"(?<![\w@])@([a-z0-9_.]{3,30})")
# More in one post are taken for spam.
_MOST_MENTIONS = 5

_NOTIFY = "SELECT notify_user($1, $2, $3, $4, $5) AS is_new"
_MENTIONED = "SELECT user_id FROM accounts WHERE handle = ANY($1::text[]) AND deleted_at IS NULL"
_COUNT_AGAIN = "UPDATE posts SET likes = likes + 1 WHERE post_id = $1"


class Graph(Protocol):
    """What is done in the graph."""

    async def join(self, user_id: int, *, imports: bool) -> None:
        """Work off what waits for somebody who joined."""
        ...

    async def forget_user(self, user_id: int) -> None:
        """End what ties a deleted account to others."""
        ...

    async def invalidate(
        self,
        *,
        user_ids: Sequence[int] = (),
        post_ids: Sequence[int] = (),
        handles: Sequence[str] = (),
    ) -> None:
        """Drop what has changed from the caches."""
        ...


class Notifier(Protocol):
    """Where notifications are written."""

    async def notify(
        self, user_id: int, event_id: int, kind: str, actor_id: int, post_id: int | None
    ) -> bool:
        """Tell a user once; return whether there is a new notification."""
        ...

    async def mentioned(self, handles: Sequence[str]) -> Sequence[int]:
        """Return the users with these handles."""
        ...

    async def count_again(self, post_id: int) -> None:
        """Count a like once more (the defect count_drift)."""
        ...


class NotificationStore:
    """Notifications over the edge ``worker-pg``; raises EdgeError if it is lost."""

    def __init__(self, edge: PostgresEdge) -> None:
        self._edge = edge

    async def notify(
        self, user_id: int, event_id: int, kind: str, actor_id: int, post_id: int | None
    ) -> bool:
        """Tell a user once; return whether there is a new notification."""
        row = await self._edge.fetchrow(_NOTIFY, user_id, event_id, kind, actor_id, post_id)
        return row is not None and bool(row["is_new"])

    async def mentioned(self, handles: Sequence[str]) -> Sequence[int]:
        """Return the users with these handles."""
        rows = await self._edge.fetch(_MENTIONED, list(handles))
        return [row["user_id"] for row in rows]

    async def count_again(self, post_id: int) -> None:
        """Count a like once more (the defect count_drift)."""
        await self._edge.execute(_COUNT_AGAIN, post_id)


class ChoreHandler:
    """Works events off; every one of them may come twice.

    ``said`` is told of each user who has a new notification.
    """

    def __init__(
        self,
        graph: Graph,
        notifier: Notifier,
        said: Callable[[int], Awaitable[None]],
        has_defect: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._graph, self._notifier, self._said = graph, notifier, said
        self._has_defect = has_defect

    async def handle(self, event: Event) -> None:
        """Work one event off; an unknown kind is of no concern here."""
        match event.kind:
            case "account.joined":
                joined = decode_body(event, AccountChanged)
                await self._graph.join(joined.user_id, imports=joined.import_follows)
            case "account.changed":
                await self._invalidate_account(event)
            case "account.deleted":
                await self._graph.forget_user(decode_body(event, AccountChanged).user_id)
                await self._invalidate_account(event)
            case "post.created" | "post.reviewed":
                await self._on_post(event)
            case "post.deleted":
                await self._graph.invalidate(post_ids=[decode_body(event, PostDeleted).post_id])
            case "follow.added":
                pair = decode_body(event, Pair)
                if pair.app == 2:
                    await self._notify(event, pair.to_id, "follow", pair.from_id, None)
            case "like.added":
                await self._on_like(event)
            case _:
                pass

    async def _invalidate_account(self, event: Event) -> None:
        changed = decode_body(event, AccountChanged)
        handles = sorted({changed.handle, changed.old_handle} - {""})
        await self._graph.invalidate(user_ids=[changed.user_id], handles=handles)

    async def _on_post(self, event: Event) -> None:
        post = decode_body(event, PostCreated)
        if not post.is_visible:
            return
        if event.kind == "post.reviewed":
            await self._graph.invalidate(post_ids=[post.post_id])
        if post.parent_author_id is not None:
            kind = "reply" if post.reply_to is not None else "repost"
            await self._notify(event, post.parent_author_id, kind, post.author_id, post.post_id)
        handles = list(dict.fromkeys(_MENTION.findall(post.text)))[:_MOST_MENTIONS]
        if handles:
            for user_id in await self._notifier.mentioned(handles):
                await self._notify(event, user_id, "mention", post.author_id, post.post_id)

    async def _on_like(self, event: Event) -> None:
        like = decode_body(event, LikeAdded)
        if like.app != 2:
            return
        await self._notify(event, like.author_id, "like", like.from_id, like.to_id)
        if self._has_defect("count_drift"):
            await self._notifier.count_again(like.to_id)

    async def _notify(
        self, event: Event, user_id: int, kind: str, actor_id: int, post_id: int | None
    ) -> None:
        if await self._notifier.notify(user_id, event.event_id, kind, actor_id, post_id):
            await self._said(user_id)
