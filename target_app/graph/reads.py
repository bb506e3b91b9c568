"""Reading posts, lists, profiles and blocks: cache first, then the database, then what is stale."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

from target_app.edge.deadline import Deadline
from target_app.edge.errors import EdgeError
from target_app.edge.postgres import PostgresEdge, Row
from target_app.graph import statements
from target_app.graph.cache import Cache, CacheContext, CachePolicy
from target_app.graph.leases import Leases
from target_app.graph.model import STATES, Post, PostList, Profile, Ties, UserIds
from target_app.ids import created_at_s

__all__ = ["EDGE", "PAGE", "GraphReader", "Loaded", "PostBatch"]

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

EDGE = "graph-pg"
# The length of a cached list; a shorter page is cut from it.
PAGE = 50
NEWEST = 2**63 - 1

# How long a value is used without asking, and kept for the time while the database is lost.
# Writes of this process forget what they change at once, the stream tells of the writes of others;
# the fresh times bound what is missed without it: 5 seconds for names, privacy and blocks.
_POSTS = CachePolicy("post", fresh_s=5.0, keep_s=600.0, capacity=50_000)
_LISTS = CachePolicy("list", fresh_s=2.0, keep_s=300.0, capacity=2_000)
_PROFILES = CachePolicy("profile", fresh_s=3.0, keep_s=300.0, capacity=20_000)
_CELEBRITIES = CachePolicy("celebrities", fresh_s=60.0, keep_s=600.0, capacity=20_000)
_TIES = CachePolicy("ties", fresh_s=5.0, keep_s=600.0, capacity=50_000)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[V_co]):
    """A value; ``stale_s`` is its age where the database could not be asked, else ``None``."""

    value: V_co
    stale_s: float | None = None


@dataclass(frozen=True, slots=True)
class PostBatch:
    """Posts that were found, by id, those that were not, and whether the database was lost."""

    posts: dict[int, Post]
    missing: list[int]
    stale_s: float | None = None


class _Errors(Protocol):
    def note_error(self, feature: str, error: Exception) -> None: ...

    def fallback_allowed(self, edge: str) -> bool: ...


class GraphReader:
    """All reads of the graph process. Belongs to one event loop."""

    def __init__(
        self,
        postgres: PostgresEdge,
        context: CacheContext,
        errors: _Errors,
        *,
        leases: Leases,
        celebrity_threshold: Callable[[], float],
    ) -> None:
        self._postgres = postgres
        self._leases, self._celebrity_threshold = leases, celebrity_threshold
        self._loading: dict[tuple[str, str], tuple[asyncio.Future[object], float]] = {}
        self._clock = context.clock
        self._errors = errors
        self.post_cache = Cache(context, _POSTS, Post)
        self.list_cache = Cache(context, _LISTS, PostList)
        self.profile_cache = Cache(context, _PROFILES, Profile)
        self.celebrity_cache = Cache(context, _CELEBRITIES, UserIds)
        self.ties_cache = Cache(context, _TIES, Ties)

    async def posts(self, ids: Sequence[int], deadline: Deadline) -> PostBatch:
        """Return posts by id; where the database is lost, those that a cache still has."""
        keys = {str(post_id): post_id for post_id in ids}
        found = await self.post_cache.read(list(keys), deadline)
        posts = {keys[key]: post for key, post in found.fresh.items()}
        wanted = [post_id for post_id in ids if post_id not in posts]
        if wanted:
            late = await self._awaited_posts(wanted, deadline)
            posts |= late
            wanted = [post_id for post_id in wanted if post_id not in late]
        stale_s: float | None = None
        if wanted:
            read_at_s = self._clock.wall()
            try:
                rows = await self._postgres.fetch(statements.POSTS, wanted, deadline=deadline)
            except EdgeError as error:
                self._tolerate(error)
                ages_s = [read_at_s - entry.read_at_s for entry in found.stale.values()]
                stale_s = max(ages_s, default=0.0)
                posts |= {keys[key]: entry.value for key, entry in found.stale.items()}
                self.post_cache.note_stale(len(found.stale))
            else:
                loaded = _posts(rows)
                self._keep(loaded, read_at_s)
                posts |= {post.id: post for post in loaded}
        missing = [post_id for post_id in ids if post_id not in posts]
        return PostBatch(posts, missing, stale_s)

    async def _awaited_posts(self, wanted: Sequence[int], deadline: Deadline) -> dict[int, Post]:
        """Return those of the posts that somebody else has a lease for, once they are read."""
        names = {str(post_id) for post_id in wanted}
        leased = await self._leases.take([f"post:{name}" for name in sorted(names)], deadline)
        others = [name for name in sorted(names) if f"post:{name}" not in leased]
        found: dict[str, Post] = {}

        async def look() -> bool:
            found.update((await self.post_cache.read(others, deadline)).fresh)
            return len(found) == len(others)

        if others:
            await self._leases.wait_for(look)
        return {int(name): post for name, post in found.items()}

    async def replies(self, post_id: int, deadline: Deadline) -> Loaded[PostList]:
        """Return the first page of replies to a post, oldest first."""
        return await self._list(f"replies:{post_id}", statements.REPLIES, (post_id, PAGE), deadline)

    async def user_posts(self, user_id: int, deadline: Deadline) -> Loaded[PostList]:
        """Return the first page of a user's posts, newest first."""
        arguments = (user_id, NEWEST, PAGE)
        return await self._list(f"author:{user_id}", statements.USER_POSTS, arguments, deadline)

    async def older_user_posts(
        self, user_id: int, before: int, limit: int, deadline: Deadline
    ) -> list[Post]:
        """Return a user's posts with ids below ``before``, newest first; never cached."""
        rows = await self._postgres.fetch(
            statements.USER_POSTS, user_id, before, limit, deadline=deadline
        )
        return _posts(rows)

    async def recent(
        self, viewer_id: int, deadline: Deadline, *, whole: bool = False, before: int = 0
    ) -> Loaded[PostList]:
        """Return the newest posts of the viewer and of whom the viewer follows, newest first.

        With ``before`` those with ids below it, which are never cached.

        ``whole`` asks the database whatever is cached: a timeline is built from this answer, and
        a post that a cached one lacks would be missing there for good. If the database is lost,
        the cached answer is returned as a stale one.
        """
        threshold = int(self._celebrity_threshold())
        if before:
            rows = await self._postgres.fetch(
                statements.RECENT, viewer_id, PAGE, threshold, before, deadline=deadline
            )
            return Loaded(PostList(_posts(rows), len(rows) == PAGE))
        arguments = (viewer_id, PAGE, threshold, NEWEST)
        return await self._list(
            f"recent:{viewer_id}", statements.RECENT, arguments, deadline, anew=whole
        )

    async def profile(self, user_id: int, deadline: Deadline) -> Loaded[Profile | None]:
        """Return a profile by user id."""
        return await self._profile(str(user_id), statements.PROFILE, user_id, deadline)

    async def profile_by_handle(self, handle: str, deadline: Deadline) -> Loaded[Profile | None]:
        """Return a profile by handle."""
        return await self._profile(f"@{handle}", statements.PROFILE_BY_HANDLE, handle, deadline)

    async def celebrities(self, user_id: int, deadline: Deadline) -> Loaded[UserIds]:
        """Return the followed accounts whose posts are pulled."""

        async def load() -> UserIds:
            rows = await self._postgres.fetch(
                statements.CELEBRITIES,
                user_id,
                int(self._celebrity_threshold()),
                deadline=deadline,
            )
            return UserIds([row["to_id"] for row in rows])

        return await self._through(self.celebrity_cache, str(user_id), load, deadline)

    async def ties(self, viewer_id: int, deadline: Deadline) -> Loaded[Ties]:
        """Return what decides whom the viewer is shown.

        Raises the edge's error if that is unknown: then nobody may be shown.
        """

        async def load() -> Ties:
            rows = await self._postgres.fetch(statements.TIES, viewer_id, deadline=deadline)
            found: dict[int, set[int]] = {}
            for row in rows:
                found.setdefault(row["kind"], set()).add(row["to_id"])
            kinds = (frozenset(found.get(kind, ())) for kind in (3, 4, 7, 1))
            return Ties(*kinds)

        return await self._through(self.ties_cache, str(viewer_id), load, deadline)

    async def search(self, prefix: str, limit: int, deadline: Deadline) -> list[Profile]:
        """Return the profiles whose handle begins with a prefix, the most followed first."""
        escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        rows = await self._postgres.fetch(
            statements.SEARCH, f"{escaped}%", limit, deadline=deadline
        )
        return [_read_profile(row) for row in rows]

    async def association_ids(
        self, kind: int, from_id: int, after: int, limit: int, deadline: Deadline
    ) -> list[int]:
        """Return the far ends of associations in rising order, those above ``after``."""
        rows = await self._postgres.fetch(
            statements.ASSOC_RANGE, kind, from_id, after, limit, deadline=deadline
        )
        return [row["to_id"] for row in rows]

    async def association_count(self, kind: int, from_id: int, deadline: Deadline) -> int:
        """Return the number of associations."""
        row = await self._postgres.fetchrow(
            statements.ASSOC_COUNT, kind, from_id, deadline=deadline
        )
        return int(row["count"]) if row is not None else 0

    async def _list(
        self,
        key: str,
        query: str,
        arguments: tuple[int, ...],
        deadline: Deadline,
        *,
        anew: bool = False,
    ) -> Loaded[PostList]:
        async def load() -> PostList:
            read_at_s = self._clock.wall()
            posts = _posts(await self._postgres.fetch(query, *arguments, deadline=deadline))
            self._keep(posts, read_at_s)
            return PostList(posts, len(posts) == PAGE)

        return await self._through(self.list_cache, key, load, deadline, anew=anew)

    async def _profile(
        self, key: str, query: str, argument: int | str, deadline: Deadline
    ) -> Loaded[Profile | None]:
        async def load() -> Profile:
            row = await self._postgres.fetchrow(query, argument, deadline=deadline)
            if row is None:
                raise LookupError(argument)
            return _read_profile(row)

        try:
            return await self._through(self.profile_cache, key, load, deadline)
        except LookupError:
            return Loaded(None)

    async def _through(
        self,
        cache: Cache[V],
        key: str,
        load: Callable[[], Awaitable[V]],
        deadline: Deadline,
        *,
        anew: bool = False,
    ) -> Loaded[V]:
        """Return the cached or loaded value, or a stale one if loading fails.

        With ``anew`` the cache is only for when loading fails, and then stale however fresh.
        """
        found = await cache.read([key], deadline)
        if key in found.fresh and not anew:
            return Loaded(found.fresh[key])
        read_at_s = self._clock.wall()
        try:
            if anew:
                value = await load()
            else:
                value, read_at_s = await self._single(cache, key, load)
        except EdgeError as error:
            self._tolerate(error)
            if key in found.fresh:
                return Loaded(found.fresh[key], 0.0)
            if key not in found.stale:
                raise
            cache.note_stale(1)
            entry = found.stale[key]
            return Loaded(entry.value, read_at_s - entry.read_at_s)
        cache.store({key: value}, read_at_s=read_at_s)
        return Loaded(value)

    async def _single(
        self, cache: Cache[V], key: str, load: Callable[[], Awaitable[V]]
    ) -> tuple[V, float]:
        """Load once for all who ask at the same time; returns when it was begun, too.

        Who gives up does not end it for the others, and who has just changed the value does not
        wait for what was read before.
        """
        place = (cache.name, key)
        known = self._loading.get(place)
        if known is None or not cache.is_current(key, known[1]):
            task = cast("asyncio.Future[object]", asyncio.ensure_future(load()))
            known = self._loading[place] = (task, self._clock.wall())
            task.add_done_callback(lambda ended: self._ended(place, ended))
        return cast("V", await asyncio.shield(known[0])), known[1]

    def _ended(self, place: tuple[str, str], ended: asyncio.Future[object]) -> None:
        known = self._loading.get(place)
        if known is not None and known[0] is ended:
            del self._loading[place]
        if not ended.cancelled():
            # All who asked may have given up: nobody is left to take its error.
            ended.exception()

    def _keep(self, posts: Iterable[Post], read_at_s: float) -> None:
        self.post_cache.store({str(post.id): post for post in posts}, read_at_s=read_at_s)

    def _tolerate(self, error: EdgeError) -> None:
        """Note the loss of the database, or raise it again if no fallback is allowed."""
        if not self._errors.fallback_allowed(EDGE):
            raise error
        self._errors.note_error("graph", error)


def _posts(rows: Iterable[Row]) -> list[Post]:
    return [
        Post(
            id=row["post_id"],
            author_id=row["author_id"],
            handle=row["handle"],
            text=row["text"],
            created_at=created_at_s(row["post_id"]),
            reply_to=row["reply_to"],
            likes=row["likes"],
            replies=row["replies"],
            repost_of=row["repost_of"],
            reposts=row["reposts"],
            media=tuple(row["media"]),
            state=STATES[row["state"]],
            author_is_private=row["is_private"],
        )
        for row in rows
    ]


def _read_profile(row: Row) -> Profile:
    return Profile(
        user_id=row["user_id"],
        handle=row["handle"],
        display_name=row["display_name"],
        followers=row["followers"],
        following=row["following"],
        posts=row["posts"],
        bio=row["bio"],
        avatar=row["avatar"],
        is_private=row["is_private"],
        version=row["version"],
    )
