"""What one socket has yet to be told: bounded, and folded into few messages."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

__all__ = ["LikeTick", "NotificationTick", "PostTick", "Tick", "TickQueue", "fold"]


@dataclass(frozen=True, slots=True)
class PostTick:
    """Somebody whom the viewer follows has posted."""

    post_id: int


@dataclass(frozen=True, slots=True)
class LikeTick:
    """A post that the viewer looks at has one like more, or one less."""

    post_id: int
    delta: Literal[1, -1]


@dataclass(frozen=True, slots=True)
class NotificationTick:
    """The viewer has a new notification."""


Tick = PostTick | LikeTick | NotificationTick


class _Posts(msgspec.Struct, tag_field="type", tag="posts"):
    count: int
    newest: int


class _Likes(msgspec.Struct, tag_field="type", tag="likes"):
    post_id: int
    delta: int


class _Notifications(msgspec.Struct, tag_field="type", tag="notifications"):
    count: int


class TickQueue:
    """At most ``capacity`` ticks; when one too many comes, the oldest leaves and that is noted."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ticks: deque[Tick] = deque()
        self._has_lost = False
        self._filled = asyncio.Event()

    def put(self, tick: Tick) -> bool:
        """Add a tick and return whether another one was dropped for it."""
        is_full = len(self._ticks) == self._capacity
        if is_full:
            self._ticks.popleft()
            self._has_lost = True
        self._ticks.append(tick)
        self._filled.set()
        return is_full

    def drop_all(self) -> None:
        """Forget all ticks: the client will fetch what they told anyway."""
        self._ticks.clear()
        self._has_lost = False

    def wake(self) -> None:
        """End the wait for ticks although there may be none."""
        self._filled.set()

    async def wait(self) -> None:
        """Wait until there is something."""
        await self._filled.wait()

    def take(self) -> tuple[Sequence[Tick], bool]:
        """Return all ticks, and whether others were dropped since the last time."""
        taken, has_lost = list(self._ticks), self._has_lost
        self.drop_all()
        self._filled.clear()
        return taken, has_lost


def fold(ticks: Iterable[Tick]) -> Sequence[msgspec.Struct]:
    """Return the messages that tell the ticks: one of each type, and one per liked post."""
    posts: set[int] = set()
    likes: Counter[int] = Counter()
    notifications = 0
    for tick in ticks:
        match tick:
            case PostTick(post_id):
                posts.add(post_id)
            case LikeTick(post_id, delta):
                likes[post_id] += delta
            case NotificationTick():
                notifications += 1
    messages: list[msgspec.Struct] = []
    if posts:
        messages.append(_Posts(len(posts), max(posts)))
    messages += [_Likes(post_id, delta) for post_id, delta in likes.items() if delta]
    if notifications:
        messages.append(_Notifications(notifications))
    return messages
