"""What the graph process stores in caches and answers with."""

from __future__ import annotations

import msgspec

__all__ = ["Blocks", "Post", "PostList", "Profile", "UserIds"]


class Post(msgspec.Struct, frozen=True):
    """A post with its author's handle and its counts; ``created_at`` in seconds since 1970 UTC."""

    id: int
    author_id: int
    handle: str
    text: str
    created_at: float
    reply_to: int | None
    likes: int
    replies: int


class Profile(msgspec.Struct, frozen=True):
    """The public face of an account."""

    user_id: int
    handle: str
    display_name: str
    followers: int
    following: int
    posts: int


class PostList(msgspec.Struct, frozen=True):
    """The first page of a list of posts, in its order."""

    posts: list[Post]


class UserIds(msgspec.Struct, frozen=True):
    """Some users, in rising order of their ids."""

    ids: list[int]


class Blocks(msgspec.Struct, frozen=True):
    """Everybody whom a user has blocked or who has blocked that user."""

    ids: frozenset[int]
