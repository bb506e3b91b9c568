"""Reading posts, lists, profiles and blocks: cache first, then the database, then what is stale."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from target_app.edge.deadline import Deadline
from target_app.edge.errors import EdgeError
from target_app.edge.postgres import PostgresEdge, Row
from target_app.graph import statements
from target_app.graph.cache import Cache, CacheContext, CachePolicy
from target_app.graph.model import Blocks, Post, PostList, Profile, UserIds
from target_app.ids import created_at_s

__all__ = ["CELEBRITY_FOLLOWERS", "EDGE", "PAGE", "GraphReader", "Loaded", "PostBatch"]

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

EDGE = "graph-pg"
# From this many followers on, posts are pulled by readers instead of pushed to them.
CELEBRITY_FOLLOWERS = 1000
# The length of a cached list; a shorter page is cut from it.
PAGE = 50
NEWEST = 2**63 - 1

# How long a value is used without asking, and kept for the time while the database is lost.
# Writes of this process forget what they change at once; the fresh times bound what is missed of
# the writes of others: 5 seconds for blocks.
_POSTS = CachePolicy("post", fresh_s=10.0, keep_s=600.0, capacity=50_000)
_LISTS = CachePolicy("list", fresh_s=2.0, keep_s=300.0, capacity=2_000)
_PROFILES = CachePolicy("profile", fresh_s=3.0, keep_s=300.0, capacity=20_000)
_CELEBRITIES = CachePolicy("celebrities", fresh_s=60.0, keep_s=600.0, capacity=20_000)
_BLOCKS = CachePolicy("blocks", fresh_s=5.0, keep_s=600.0, capacity=50_000)


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

    def __init__(self, postgres: PostgresEdge, context: CacheContext, errors: _Errors) -> None:
        self._postgres = postgres
        self._clock = context.clock
        self._errors = errors
        self.post_cache = Cache(context, _POSTS, Post)
        self.list_cache = Cache(context, _LISTS, PostList)
        self.profile_cache = Cache(context, _PROFILES, Profile)
        self.celebrity_cache = Cache(context, _CELEBRITIES, UserIds)
        self.block_cache = Cache(context, _BLOCKS, Blocks)

    async def posts(self, ids: Sequence[int], deadline: Deadline) -> PostBatch:
        """Return posts by id; where the database is lost, those that a cache still has."""
        keys = {str(post_id): post_id for post_id in ids}
        found = await self.post_cache.read(list(keys), deadline)
        posts = {keys[key]: post for key, post in found.fresh.items()}
        wanted = [post_id for post_id in ids if post_id not in posts]
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
        self, viewer_id: int, deadline: Deadline, *, whole: bool = False
    ) -> Loaded[PostList]:
        """Return the newest posts of the viewer and of whom the viewer follows, newest first.

        ``whole`` asks the database whatever is cached: a timeline is built from this answer, and
        a post that a cached one lacks would be missing there for good. If the database is lost,
        the cached answer is returned as a stale one.
        """
        arguments = (viewer_id, PAGE, CELEBRITY_FOLLOWERS, NEWEST)
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
                statements.CELEBRITIES, user_id, CELEBRITY_FOLLOWERS, deadline=deadline
            )
            return UserIds([row["to_id"] for row in rows])

        return await self._through(self.celebrity_cache, str(user_id), load, deadline)

    async def blocks(self, viewer_id: int, deadline: Deadline) -> Loaded[frozenset[int]]:
        """Return whom the viewer must not see, and who must not be seen by the viewer.

        Raises the edge's error if that is unknown: then nobody may be shown.
        """

        async def load() -> Blocks:
            rows = await self._postgres.fetch(statements.BLOCKS, viewer_id, deadline=deadline)
            return Blocks(frozenset(row["to_id"] for row in rows))

        loaded = await self._through(self.block_cache, str(viewer_id), load, deadline)
        return Loaded(loaded.value.ids, loaded.stale_s)

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
            return PostList(posts)

        return await self._through(self.list_cache, key, load, deadline, anew=anew)

    async def _profile(
        self, key: str, query: str, argument: int | str, deadline: Deadline
    ) -> Loaded[Profile | None]:
        async def load() -> Profile:
            row = await self._postgres.fetchrow(query, argument, deadline=deadline)
            if row is None:
                raise LookupError(argument)
            return Profile(
                user_id=row["user_id"],
                handle=row["handle"],
                display_name=row["display_name"],
                followers=row["followers"],
                following=row["following"],
                posts=row["posts"],
            )

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
            value = await load()
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
        )
        for row in rows
    ]
