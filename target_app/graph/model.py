"""What the graph process stores in caches and answers with."""

from __future__ import annotations

import msgspec

__all__ = ["STATES", "Post", "PostList", "Profile", "Ties", "UserIds"]

# A post's state as a word, by its number in the database.
STATES = {1: "visible", 2: "pending_review", 3: "deleted"}


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
    repost_of: int | None = None
    reposts: int = 0
    media: tuple[str, ...] = ()
    state: str = "visible"
    author_is_private: bool = False


class Profile(msgspec.Struct, frozen=True):
    """The public face of an account."""

    user_id: int
    handle: str
    display_name: str
    followers: int
    following: int
    posts: int
    bio: str = ""
    avatar: str | None = None
    is_private: bool = False
    version: int = 1


class PostList(msgspec.Struct, frozen=True):
    """The first page of a list of posts, in its order.

    ``has_more`` says that the database had more of them.
    """

    posts: list[Post]
    has_more: bool = False


class UserIds(msgspec.Struct, frozen=True):
    """Some users, in rising order of their ids."""

    ids: list[int]


class Ties(msgspec.Struct, frozen=True):
    """What decides whom a viewer is shown.

    ``blocked`` are those whom the viewer has blocked, ``blocked_by`` those who have blocked the
    viewer; ``follows`` names private accounts only.
    """

    blocked: frozenset[int]
    blocked_by: frozenset[int]
    muted: frozenset[int]
    follows: frozenset[int]
