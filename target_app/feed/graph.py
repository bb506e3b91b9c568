"""What the feed asks of the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from target_app.edge import Deadline, HttpAnswer, HttpEdge

__all__ = ["RECENT_POSTS", "Call", "Graph", "Post", "Posts"]

# How far back the graph answers for those followed: two and a half pages.
RECENT_POSTS = 50


class Post(msgspec.Struct, frozen=True):
    """A post as the public interface shows it; ``created_at`` in seconds since the epoch."""

    id: int
    author_id: int
    handle: str
    text: str
    created_at: float
    reply_to: int | None
    likes: int
    replies: int


@dataclass(frozen=True, slots=True)
class Posts:
    """Posts in the order of the answer, and what the graph says is degraded about them."""

    posts: Sequence[Post]
    degraded: Sequence[str]


@dataclass(frozen=True, slots=True)
class Call:
    """What every call made for one request carries on: its deadline, tier and user bucket."""

    deadline: Deadline
    headers: Mapping[str, str]


class _PostsBody(msgspec.Struct):
    posts: list[Post]


class _IdsBody(msgspec.Struct):
    ids: list[int]


class _Batch(msgspec.Struct):
    ids: list[int]
    viewer_id: int


class _Recent(msgspec.Struct):
    viewer_id: int
    limit: int
    whole: bool


class Graph:
    """Reads over the edge ``feed-graph``; every method raises EdgeError if it is lost."""

    def __init__(self, edge: HttpEdge) -> None:
        self._edge = edge

    async def posts(self, post_ids: Sequence[int], viewer_id: int, call: Call) -> Posts:
        """Return those of the posts that exist and that the viewer may see, in no set order."""
        body = _Batch(ids=list(post_ids), viewer_id=viewer_id)
        return _posts(await self._post("/internal/posts/batch", body, call))

    async def recent(self, viewer_id: int, call: Call, *, whole: bool) -> Posts:
        """Return the newest ``RECENT_POSTS`` posts of those whom the viewer follows.

        Unless ``whole``, posts of the last seconds may be missing.
        """
        body = _Recent(viewer_id=viewer_id, limit=RECENT_POSTS, whole=whole)
        return _posts(await self._post("/internal/recent", body, call))

    async def celebrities(self, viewer_id: int, call: Call) -> Sequence[int]:
        """Return the celebrities that the viewer follows."""
        answer = await self._get(f"/internal/users/{viewer_id}/celebrities", call)
        return answer.json(_IdsBody).ids

    async def post_ids_of(self, author_id: int, *, limit: int, call: Call) -> Sequence[int]:
        """Return the newest posts of one author that are no replies.

        Read for nobody in particular: the viewer's blocks are applied when the posts themselves
        are fetched.
        """
        answer = await self._get(f"/internal/users/{author_id}/posts?limit={limit}", call)
        return [post.id for post in answer.json(_PostsBody).posts if post.reply_to is None]

    async def _get(self, path: str, call: Call) -> HttpAnswer:
        return await self._edge.request("GET", path, headers=call.headers, deadline=call.deadline)

    async def _post(self, path: str, body: object, call: Call) -> HttpAnswer:
        # A question with a body: safe to ask twice, whatever the method says.
        return await self._edge.request(
            "POST", path, json=body, headers=call.headers, deadline=call.deadline, idempotent=True
        )


def _posts(answer: HttpAnswer) -> Posts:
    return Posts(posts=answer.json(_PostsBody).posts, degraded=answer.degraded)
