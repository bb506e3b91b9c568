"""Which page is asked for, and the stretch of the feed that it is made of."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from target_app.feed.cursor import Cursor
from target_app.feed.graph import Post, Posts
from target_app.feed.merge import merge
from target_app.feed.ranking import FOLLOW_WEIGHT, Candidate, rank

__all__ = ["Mode", "Page", "Question", "Window", "by_id", "merged", "ranked"]

Mode = Literal["ranked", "recency"]

# A ranked page is the better half of a window of this many pages.
WINDOW_PAGES = 2


@dataclass(frozen=True, slots=True)
class Question:
    """Which page is asked for; posts up to ``since`` are not wanted.

    Without ``suggests`` a short feed stays short.
    """

    viewer_id: int
    mode: Mode
    limit: int
    cursor: Cursor
    since: int = 0
    suggests: bool = True

    @property
    def size(self) -> int:
        """How many posts are looked at for the page."""
        return self.limit * (WINDOW_PAGES if self.mode == "ranked" else 1)


@dataclass(frozen=True, slots=True)
class Page:
    """The posts in the order to be shown; ``next`` is None at the end of the feed."""

    items: Sequence[Post]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the feed in time order, before ranking.

    ``is_last`` says that nothing comes after it. ``known`` holds posts that came with the answers
    already; ``likes`` are the viewer's by author.
    """

    post_ids: Sequence[int]
    is_last: bool
    known: Mapping[int, Post] = field(default_factory=dict)
    likes: Mapping[int, int] = field(default_factory=dict)
    friends: Container[int] = ()


def by_id(answer: Posts) -> dict[int, Post]:
    """Return the posts of an answer by their ids."""
    return {post.id: post for post in answer.posts}


def merged(sources: Sequence[Iterable[int]], question: Question) -> Sequence[int]:
    """Return what of the sources belongs into the window that is asked for."""
    before, since = question.cursor.position, question.since
    return merge(sources, before=before, limit=question.size, since=since)


def ranked(posts: Iterable[Post], window: Window, viewer_id: int, *, now: float) -> Sequence[int]:
    """Return the ids in the order to be shown to the viewer."""
    candidates = [
        Candidate(post.id, post.author_id, post.created_at, post.likes, post.replies)
        for post in posts
    ]
    # How close the viewer is to each author: by likes, and by follows in both apps.
    closeness = {
        author_id: window.likes.get(author_id, 0)
        + FOLLOW_WEIGHT * (author_id != viewer_id)
        + FOLLOW_WEIGHT * (author_id in window.friends)
        for author_id in {each.author_id for each in candidates}
    }
    return rank(candidates, now=now, interactions=closeness)
