"""What the feed asks of the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from target_app.edge import Deadline, HttpAnswer, HttpEdge

__all__ = ["RECENT_POSTS", "Call", "Graph", "Post", "Posts"]

# How far back the graph answers for those followed: two and a half pages.
RECENT_POSTS = 50


class Post(msgspec.Struct, frozen=True):
    """A post as the public interface shows it; ``created_at`` in seconds since the epoch.

    ``reason`` is why it is in the feed: followed, own or popular.
    """

    id: int
    author_id: int
    handle: str
    text: str
    created_at: float
    reply_to: int | None
    likes: int
    replies: int
    repost_of: int | None = None
    reposts: int = 0
    media: tuple[str, ...] = ()
    state: str = "visible"
    reason: str = "followed"


@dataclass(frozen=True, slots=True)
class Posts:
    """Posts in the order of the answer, and what the graph says is degraded about them.

    ``has_more`` says that there are older ones; ``celebrities`` and ``friends`` (followed in the
    photos app too) come with a whole history only.
    """

    posts: Sequence[Post]
    degraded: Sequence[str] = ()
    has_more: bool = False
    celebrities: Sequence[int] = field(default=())
    friends: Sequence[int] = field(default=())


@dataclass(frozen=True, slots=True)
class Call:
    """What every call made for one request carries on: its deadline, tier and user bucket."""

    deadline: Deadline
    headers: Mapping[str, str]


class _PostsBody(msgspec.Struct):
    posts: list[Post]
    more: bool = False
    celebrities: list[int] = []
    friends: list[int] = []


class _IdsBody(msgspec.Struct):
    ids: list[int]


class Graph:
    """Reads over the edge ``feed-graph``; every method raises EdgeError if it is lost.

    Posts for a viewer all come through one question, which names the viewer: the graph leaves out
    who is blocked, muted, private or deleted, and what waits for review.
    """

    def __init__(self, edge: HttpEdge, *, one_by_one: Callable[[], bool] = lambda: False) -> None:
        self._edge = edge
        self._one_by_one = one_by_one

    async def posts(self, post_ids: Sequence[int], viewer_id: int, call: Call) -> Posts:
        """Return those of the posts that exist and that the viewer may see, in no set order."""
        if self._one_by_one() and len(post_ids) > 1:
            # The defect n_plus_one.
            each = [await self.posts([post_id], viewer_id, call) for post_id in post_ids]
            found = [post for answer in each for post in answer.posts]
            return Posts(found, [item for answer in each for item in answer.degraded])
        return await self._visible("posts/batch", viewer_id, {"ids": list(post_ids)}, call)

    async def recent(self, viewer_id: int, call: Call, *, before: int | None = None) -> Posts:
        """Return the newest ``RECENT_POSTS`` posts before one of those whom the viewer follows.

        Posts of the last seconds may be missing.
        """
        asked = {"limit": RECENT_POSTS, "before": before or 0}
        return await self._visible("recent", viewer_id, asked, call)

    async def history(self, viewer_id: int, call: Call) -> Posts:
        """Return the newest posts with none missing, and whom the viewer follows that matters."""
        asked = {"limit": RECENT_POSTS, "whole": True}
        return await self._visible("recent", viewer_id, asked, call)

    async def celebrities(self, viewer_id: int, call: Call) -> Sequence[int]:
        """Return the celebrities that the viewer follows."""
        return await self._ids(f"users/{viewer_id}/celebrities", call)

    async def popular(self, *, limit: int, call: Call) -> Sequence[int]:
        """Return the newest posts that many like, read for nobody in particular."""
        return await self._ids(f"popular?limit={limit}", call)

    async def post_ids_of(self, author_id: int, *, limit: int, call: Call) -> Sequence[int]:
        """Return the newest posts of one author that are no replies.

        Read for nobody in particular: what the viewer may see is asked when the posts themselves
        are fetched.
        """
        answer = await self._get(f"users/{author_id}/posts?limit={limit}", call)
        return [post.id for post in answer.json(_PostsBody).posts if post.reply_to is None]

    async def _ids(self, path: str, call: Call) -> Sequence[int]:
        return (await self._get(path, call)).json(_IdsBody).ids

    async def _get(self, path: str, call: Call) -> HttpAnswer:
        return await self._edge.request(
            "GET", f"/internal/{path}", headers=call.headers, deadline=call.deadline
        )

    async def _visible(
        self, path: str, viewer_id: int, asked: Mapping[str, object], call: Call
    ) -> Posts:
        # A question with a body: safe to ask twice, whatever the method says.
        answer = await self._edge.request(
            "POST",
            f"/internal/{path}",
            json={**asked, "viewer_id": viewer_id, "hide_muted": True},
            headers=call.headers,
            deadline=call.deadline,
            idempotent=True,
        )
        body = answer.json(_PostsBody)
        return Posts(body.posts, answer.degraded, body.more, body.celebrities, body.friends)
