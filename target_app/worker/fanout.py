"""What each event does to timelines, affinities and trends."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

from target_app.clock import Clock
from target_app.worker.events import Event, LikeAdded, Pair, PostCreated, PostDeleted, decode_body
from target_app.worker.metrics import WorkerMetrics
from target_app.worker.trends import TagTrends, tags_in

__all__ = ["CHUNK", "EventHandler", "Followers", "SeenIds", "Timelines"]

CHUNK = 500

# About what the stream delivers in ten minutes of the launch peak: further back nothing is
# delivered again but after a restart, when this memory is gone anyway.
_SEEN_IDS = 20_000


class Followers(Protocol):
    """Who follows whom, as the graph says."""

    async def count(self, user_id: int) -> int:
        """Return the number of a user's followers, 0 for an unknown one."""
        ...

    async def chunk(self, user_id: int, *, after: int, limit: int) -> Sequence[int]:
        """Return followers with ids above ``after``, in rising order."""
        ...


class Timelines(Protocol):
    """Where posts are pushed to."""

    async def push(self, post_id: int, user_ids: Sequence[int]) -> int:
        """Put a post into the timelines that exist; return how many these are."""
        ...

    async def announce(self, author_id: int, post_id: int) -> None:
        """Say that there is a post that is not pushed."""
        ...

    async def hide_posts(self, post_ids: Sequence[int], *, now: float) -> None:
        """Have posts left out of pages that are shown from memory."""
        ...

    async def drop(self, user_ids: Sequence[int]) -> None:
        """Drop timelines, to be built anew."""
        ...

    async def add_affinity(self, user_id: int, author_id: int) -> None:
        """Count one interaction."""
        ...


class SeenIds:
    """Remembers the last ``capacity`` ids, for what must not be counted twice."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ids: OrderedDict[int, None] = OrderedDict()

    def __contains__(self, event_id: int) -> bool:
        return event_id in self._ids

    def add(self, event_id: int) -> None:
        """Remember an id; the oldest leaves if there is no room."""
        self._ids[event_id] = None
        if len(self._ids) > self._capacity:
            self._ids.popitem(last=False)


class EventHandler:
    """Works events off. Everything but counting is idempotent; what is counted is remembered.

    From ``celebrity_threshold`` followers on a post is pulled by its readers: the graph has the
    same number.
    """

    def __init__(
        self,
        *,
        followers: Followers,
        timelines: Timelines,
        trends: TagTrends,
        metrics: WorkerMetrics,
        clock: Clock,
        celebrity_threshold: Callable[[], float],
        has_defect: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._followers = followers
        self._timelines = timelines
        self._trends = trends
        self._metrics = metrics
        self._clock = clock
        self._celebrity_threshold = celebrity_threshold
        self._has_defect = has_defect
        self._counted = SeenIds(_SEEN_IDS)

    async def handle(self, event: Event) -> None:
        """Work one event off; an unknown kind is of no concern here."""
        match event.kind:
            case "post.created" | "post.reviewed":
                await self._on_post(event)
            case "post.deleted":
                deleted = decode_body(event, PostDeleted)
                await self._timelines.hide_posts([deleted.post_id], now=self._clock.wall())
            case "follow.removed" if self._has_defect("follow_revocation_race"):
                pass
            case "follow.added" | "follow.removed":
                # Built anew from the graph, a timeline is right whatever the order of events.
                await self._timelines.drop([decode_body(event, Pair).from_id])
            case "block.added" | "block.removed":
                pair = decode_body(event, Pair)
                await self._timelines.drop([pair.from_id, pair.to_id])
            case "mute.removed":
                # A timeline that was built meanwhile lacks who was muted then.
                await self._timelines.drop([decode_body(event, Pair).from_id])
            case "like.added":
                await self._on_like(event)
            case _:
                pass
        self._metrics.handled.labels(event.kind).inc()

    def count_tags(self, event: Event) -> None:
        """Count the tags of a post, once per event, unless it waits for review."""
        post = decode_body(event, PostCreated)
        if event.event_id in self._counted or not post.is_visible:
            return
        tags = tags_in(post.text)
        self._trends.add(tags, at=event.at, now=self._clock.wall())
        self._counted.add(event.event_id)

    async def _on_post(self, event: Event) -> None:
        post = decode_body(event, PostCreated)
        self.count_tags(event)
        if post.reply_to is not None or post.is_gone:
            # A reply is found in its thread, not in the feeds of its author's followers.
            return
        started_s = self._clock.monotonic()
        pushed = await self._timelines.push(post.post_id, [post.author_id])
        if not post.is_visible:
            # Only its author sees what waits; once it is reviewed it comes here again.
            return
        if await self._followers.count(post.author_id) < self._celebrity_threshold():
            pushed += await self._push_to_followers(post)
        else:
            await self._timelines.announce(post.author_id, post.post_id)
        self._metrics.fanout_targets.inc(pushed)
        self._metrics.fanout_duration.labels("push").observe(self._clock.monotonic() - started_s)
        self._metrics.freshness.observe(max(0.0, self._clock.wall() - event.at))

    async def _push_to_followers(self, post: PostCreated) -> int:
        pushed = 0
        after = 0
        while chunk := await self._followers.chunk(post.author_id, after=after, limit=CHUNK):
            pushed += await self._timelines.push(post.post_id, chunk)
            if len(chunk) < CHUNK:
                break
            after = chunk[-1]
        return pushed

    async def _on_like(self, event: Event) -> None:
        if event.event_id in self._counted:
            return
        like = decode_body(event, LikeAdded)
        await self._timelines.add_affinity(like.from_id, like.author_id)
        self._counted.add(event.event_id)
