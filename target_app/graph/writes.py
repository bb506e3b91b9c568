"""Writing associations and posts: one statement each, then forget what it changed."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass

from target_app.clock import Clock
from target_app.edge.deadline import Deadline
from target_app.edge.errors import EdgeFailedError
from target_app.edge.postgres import PostgresEdge
from target_app.graph import statements
from target_app.graph.model import Post
from target_app.graph.reads import GraphReader
from target_app.ids import IdGenerator, created_at_s, shard_of

__all__ = ["GraphWriter", "NewPost", "Outcome", "Written"]


class Outcome(enum.Enum):
    """What a write did, in the words of schema.sql."""

    DONE = "done"
    UNCHANGED = "unchanged"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class NewPost:
    """A post as its author sends it."""

    author_id: int
    text: str
    reply_to: int | None
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of writing a post; ``post`` is there if it exists now."""

    outcome: Outcome
    post: Post | None


class GraphWriter:
    """All writes of the graph process; every one of them may be repeated without harm.

    Caches forget whatever the outcome: a write that timed out may have happened.
    """

    def __init__(
        self, postgres: PostgresEdge, reader: GraphReader, ids: IdGenerator, clock: Clock
    ) -> None:
        self._postgres = postgres
        self._reader = reader
        self._ids = ids
        self._clock = clock

    async def follow(self, from_id: int, to_id: int, deadline: Deadline, *, add: bool) -> Outcome:
        """Follow somebody, or stop to."""
        query = statements.ADD_FOLLOW if add else statements.REMOVE_FOLLOW
        try:
            return await self._write(query, from_id, to_id, deadline)
        finally:
            await self._forget_follows(from_id, to_id)

    async def block(self, from_id: int, to_id: int, deadline: Deadline, *, add: bool) -> Outcome:
        """Block somebody, which also ends following both ways, or lift the block."""
        query = statements.ADD_BLOCK if add else statements.REMOVE_BLOCK
        try:
            return await self._write(query, from_id, to_id, deadline)
        finally:
            await asyncio.gather(
                self._reader.block_cache.forget(str(from_id), str(to_id)),
                self._forget_follows(from_id, to_id),
            )

    async def like(self, from_id: int, post_id: int, deadline: Deadline, *, add: bool) -> Outcome:
        """Like a post, or take the like back."""
        query = statements.ADD_LIKE if add else statements.REMOVE_LIKE
        try:
            return await self._write(query, from_id, post_id, deadline)
        finally:
            await self._reader.post_cache.forget(str(post_id))

    async def post(self, new: NewPost, deadline: Deadline) -> Written:
        """Write a post with its event, or find what the same key wrote before."""
        post_id = self._ids.next(shard=shard_of(new.author_id))
        try:
            row = await self._postgres.fetchrow(
                statements.CREATE_POST,
                post_id,
                new.author_id,
                new.text,
                new.reply_to,
                new.idempotency_key,
                deadline=deadline,
            )
        finally:
            await self._forget_post(new)
        if row is None:
            raise EdgeFailedError(self._postgres.client.policy.name, "create_post gave no row")
        outcome = Outcome(row["outcome"])
        if outcome is Outcome.UNCHANGED:
            batch = await self._reader.posts([row["post_id"]], deadline)
            return Written(outcome, batch.posts.get(row["post_id"]))
        if outcome is not Outcome.DONE:
            return Written(outcome, None)
        post = Post(
            id=post_id,
            author_id=new.author_id,
            handle=row["handle"],
            text=new.text,
            created_at=created_at_s(post_id),
            reply_to=new.reply_to,
            likes=0,
            replies=0,
        )
        self._reader.post_cache.store({str(post_id): post}, read_at_s=self._clock.wall())
        return Written(outcome, post)

    async def _write(self, query: str, from_id: int, to_id: int, deadline: Deadline) -> Outcome:
        row = await self._postgres.fetchrow(query, from_id, to_id, deadline=deadline)
        if row is None:
            raise EdgeFailedError(self._postgres.client.policy.name, "a write gave no row")
        return Outcome(row["outcome"])

    async def _forget_follows(self, from_id: int, to_id: int) -> None:
        users = (str(from_id), str(to_id))
        await asyncio.gather(
            self._reader.celebrity_cache.forget(*users),
            self._reader.profile_cache.forget(*users),
            self._reader.list_cache.forget(*(f"recent:{user}" for user in users)),
        )

    async def _forget_post(self, new: NewPost) -> None:
        lists = [f"author:{new.author_id}", f"recent:{new.author_id}"]
        posts = []
        if new.reply_to is not None:
            lists.append(f"replies:{new.reply_to}")
            posts.append(str(new.reply_to))
        await asyncio.gather(
            self._reader.list_cache.forget(*lists),
            self._reader.profile_cache.forget(str(new.author_id)),
            self._reader.post_cache.forget(*posts),
        )
