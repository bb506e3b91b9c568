"""What the feed's reader draws on, as it sees it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from target_app.clock import Clock
from target_app.edge import Deadline
from target_app.feed.graph import Call, Posts
from target_app.feed.keys import Ties
from target_app.feed.timelines import Snapshot

__all__ = ["CelebritySource", "Marks", "PostSource", "ReaderHost", "TimelineStore"]


class Marks(Protocol):
    """Takes note of what is degraded about the answer to be."""

    def mark(self, mode: str, cause: str, age_s: float | None = None) -> None:
        """Mark the feed."""
        ...

    def relay(self, items: Sequence[str]) -> None:
        """Take over what an upstream's answer said about itself."""
        ...


class TimelineStore(Protocol):
    """Where pushed posts are; every method raises EdgeError if it is lost."""

    async def read(
        self, viewer_id: int, *, before: int | None, count: int, deadline: Deadline
    ) -> Snapshot:
        """Return what is stored for one page."""
        ...

    async def begin_building(self, viewer_id: int, *, deadline: Deadline) -> int:
        """Have posts pushed from now on; return the token to finish with."""
        ...

    async def finish_building(
        self, viewer_id: int, token: int, post_ids: Iterable[int], ties: Ties, *, deadline: Deadline
    ) -> None:
        """Add what there was before."""
        ...

    async def renew_ties(self, viewer_id: int, ties: Ties, *, deadline: Deadline) -> None:
        """Replace the ties of a timeline that is there."""
        ...


class PostSource(Protocol):
    """Where posts are pulled from; every method raises EdgeError if it is lost."""

    async def posts(self, post_ids: Sequence[int], viewer_id: int, call: Call) -> Posts:
        """Return those of the posts that the viewer may see."""
        ...

    async def recent(self, viewer_id: int, call: Call, *, before: int | None = None) -> Posts:
        """Return the newest posts before one of those whom the viewer follows."""
        ...

    async def history(self, viewer_id: int, call: Call) -> Posts:
        """Return what a timeline is built from."""
        ...

    async def celebrities(self, viewer_id: int, call: Call) -> Sequence[int]:
        """Return the celebrities that the viewer follows."""
        ...


class CelebritySource(Protocol):
    """Where the newest posts of celebrities, or of everybody, are had."""

    async def newest(self, author_id: int, announced: int = 0) -> Sequence[int]:
        """Return post ids up to one announced; raise EdgeError if they are not to be had."""
        ...


class ReaderHost(Protocol):
    """What the reader needs of its process."""

    @property
    def clock(self) -> Clock:
        """The process's clock."""
        ...

    def fallback_allowed(self, edge: str) -> bool:
        """Return whether the edge's fallback is on."""
        ...

    def note_error(self, feature: str, error: Exception) -> None:
        """Count and log an exception that was handled."""
        ...
