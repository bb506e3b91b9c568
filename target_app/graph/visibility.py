"""The one permission model: what a viewer is shown of whom, in either app.

Shown is what no block (either way) hides, what its author's privacy allows, and what no longer
waits for review. Where it is unknown, nothing but the viewer's own is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from target_app.graph.model import Post, Ties

__all__ = ["Visibility"]


@dataclass(frozen=True, slots=True)
class Visibility:
    """What one viewer may see; ``ties`` None is unknown, a viewer of None is nobody in particular.

    For nobody in particular everything is there: who asks for a viewer asks again with the viewer.
    """

    viewer_id: int | None
    ties: Ties | None
    hides_muted: bool = False
    is_open: bool = False

    @property
    def is_known(self) -> bool:
        """Whether it is known whom the viewer must not see."""
        return self.viewer_id is None or self.ties is not None

    def includes(self, user_id: int, *, is_private: bool = False) -> bool:
        """Return whether what a user wrote is shown; a profile is, however private."""
        if self.viewer_id is None or user_id == self.viewer_id or self.is_open:
            return True
        ties = self.ties
        if ties is None or user_id in ties.blocked or user_id in ties.blocked_by:
            return False
        if is_private and user_id not in ties.follows:
            return False
        return not (self.hides_muted and user_id in ties.muted)

    def filter(self, posts: Iterable[Post]) -> list[Post]:
        """Return the posts that may be shown, in their order."""
        return [
            post
            for post in posts
            if (post.state == "visible" or post.author_id == self.viewer_id)
            and self.includes(post.author_id, is_private=post.author_is_private)
        ]
