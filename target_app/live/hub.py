"""Who listens, and which event concerns whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from target_app.live.ticks import LikeTick, NotificationTick, PostTick, Tick, TickQueue
from target_app.worker.events import Event, decode_body

__all__ = ["QUEUE_CAPACITY", "Hub", "Listener"]

# More than a reader could follow; a socket that is this far behind fetches its page anew.
QUEUE_CAPACITY = 256

_THREADS = 2
_VISIBLE = ("visible", 1)


class _Post(msgspec.Struct):
    post_id: int
    author_id: int
    reply_to: int | None = None
    state: str | int = "visible"


class _Pair(msgspec.Struct):
    from_id: int = msgspec.field(name="from")
    to_id: int = msgspec.field(name="to")
    author_id: int | None = None
    app: int = _THREADS


class Listener:
    """One socket: whose posts it hears of, which posts it looks at, and what it must be told.

    Until its ties are known (or again, after events were missed) it hears nothing: ``is_current``
    is false. What happens while they are being read is applied to what was read.
    """

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id
        self.queue = TickQueue(QUEUE_CAPACITY)
        self.watched: frozenset[int] = frozenset()
        self.is_current = False
        self.turn = 0
        self._follows: set[int] = set()
        self._mutes: set[int] = set()
        self._meanwhile: list[tuple[str, int]] = []

    def follows(self, author_id: int) -> bool:
        """Whether the viewer follows an author, and does not mute them."""
        return author_id in self._follows and author_id not in self._mutes

    def outdate(self) -> None:
        """Have the ties read again: some change of them was not heard of.

        What is being read meanwhile belongs to an earlier ``turn``, and is of no use.
        """
        self.turn += 1
        self.is_current = False
        self._meanwhile.clear()
        self.queue.drop_all()
        self.queue.wake()

    def set_ties(self, follows: Iterable[int], mutes: Iterable[int]) -> None:
        """Take over what the graph said; hear of everything from now on."""
        self._follows, self._mutes = set(follows), set(mutes)
        for kind, other_id in self._meanwhile:
            self._apply(kind, other_id)
        self._meanwhile.clear()
        self.is_current = True
        self.queue.wake()

    def change_tie(self, kind: str, other_id: int) -> None:
        """Take over a change: follow.added, follow.removed, mute.added or mute.removed."""
        if not self.is_current:
            self._meanwhile.append((kind, other_id))
        self._apply(kind, other_id)

    def _apply(self, kind: str, other_id: int) -> None:
        ties = self._follows if kind.startswith("follow.") else self._mutes
        if kind.endswith(".added"):
            ties.add(other_id)
        else:
            ties.discard(other_id)


class Hub:
    """Hands events on to those whom they concern; belongs to one event loop."""

    def __init__(self, note_dropped: Callable[[], None]) -> None:
        self._note_dropped = note_dropped
        self._by_user: dict[int, set[Listener]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_user.values()))

    def __iter__(self) -> Iterator[Listener]:
        return (listener for each in list(self._by_user.values()) for listener in list(each))

    def join(self, listener: Listener) -> None:
        """Have a socket hear of what concerns it."""
        self._by_user.setdefault(listener.user_id, set()).add(listener)

    def leave(self, listener: Listener) -> None:
        """End what :meth:`join` began."""
        same_user = self._by_user.get(listener.user_id, set())
        same_user.discard(listener)
        if not same_user:
            self._by_user.pop(listener.user_id, None)

    def notify(self, user_id: int) -> None:
        """Tell a user of a notification."""
        for listener in self._by_user.get(user_id, ()):
            self._tell(listener, NotificationTick())

    def hear(self, event: Event) -> None:
        """Hand an event on; raise ``msgspec.DecodeError`` if it makes no sense."""
        match event.kind:
            case "post.created" | "post.reviewed":
                self._on_post(decode_body(event, _Post))
            case "like.added":
                self._on_like(decode_body(event, _Pair), 1)
            case "like.removed":
                self._on_like(decode_body(event, _Pair), -1)
            case "follow.added" | "follow.removed" | "mute.added" | "mute.removed":
                pair = decode_body(event, _Pair)
                if pair.app == _THREADS:
                    for listener in self._by_user.get(pair.from_id, ()):
                        listener.change_tie(event.kind, pair.to_id)
            case _:
                pass

    def _on_post(self, post: _Post) -> None:
        if post.reply_to is not None or post.state not in _VISIBLE:
            return
        for listener in self:
            if listener.follows(post.author_id):
                self._tell(listener, PostTick(post.post_id))

    def _on_like(self, like: _Pair, delta: Literal[1, -1]) -> None:
        # Ticks of others' posts would tell a stranger that these are there, and are liked.
        for listener in self:
            if like.to_id in listener.watched and (
                like.author_id == listener.user_id or listener.follows(like.author_id or 0)
            ):
                self._tell(listener, LikeTick(like.to_id, delta))

    def _tell(self, listener: Listener, tick: Tick) -> None:
        if listener.is_current and listener.queue.put(tick):
            self._note_dropped()
