"""Writing associations and posts: one statement each, then forget what it changed."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from target_app.clock import Clock
from target_app.edge.deadline import Deadline
from target_app.edge.errors import EdgeError, EdgeFailedError
from target_app.edge.postgres import PostgresEdge, Row
from target_app.graph import statements
from target_app.graph.model import STATES, Post
from target_app.graph.reads import GraphReader
from target_app.ids import IdGenerator, created_at_s, shard_of

__all__ = ["GraphWriter", "NewPost", "Outcome", "Written"]


class Outcome(enum.Enum):
    """What a write did, in the words of the functions in ``schema/``."""

    DONE = "done"
    UNCHANGED = "unchanged"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"
    REQUESTED = "requested"
    PENDING = "pending"
    REUSED = "reused"


@dataclass(frozen=True, slots=True)
class NewPost:
    """A post as its author sends it; ``state`` as in the database, ``body_hash`` of all of it."""

    author_id: int
    text: str
    reply_to: int | None
    idempotency_key: str
    repost_of: int | None = None
    media: tuple[str, ...] = ()
    state: int = 1
    body_hash: bytes = b""


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
        self,
        postgres: PostgresEdge,
        reader: GraphReader,
        ids: IdGenerator,
        clock: Clock,
        *,
        is_split: Callable[[], bool] = lambda: False,
        acks_early: Callable[[], bool] = lambda: False,
    ) -> None:
        self._postgres = postgres
        self._is_split, self._acks_early = is_split, acks_early
        self._unawaited: set[asyncio.Future[object]] = set()
        self._reader = reader
        self._ids = ids
        self._clock = clock

    async def follow(
        self, from_id: int, to_id: int, deadline: Deadline, *, add: bool, app: int, shared: bool
    ) -> Outcome:
        """Follow somebody in an app (1 photos, 2 threads), or stop to; ``shared`` in both."""
        query = statements.ADD_FOLLOW if add else statements.REMOVE_FOLLOW
        try:
            return await self._write(query, from_id, to_id, app, shared, deadline=deadline)
        finally:
            await self.forget_ties(from_id, to_id)

    async def answer_request(
        self, asked_id: int, follower_id: int, deadline: Deadline, *, agrees: bool, shared: bool
    ) -> Outcome:
        """Let somebody follow a private account, or not."""
        query = statements.ANSWER_REQUEST
        try:
            return await self._write(
                query, asked_id, follower_id, agrees, shared, deadline=deadline
            )
        finally:
            await self.forget_ties(asked_id, follower_id)

    async def mute(self, from_id: int, to_id: int, deadline: Deadline, *, add: bool) -> Outcome:
        """Leave somebody out of one's feeds, or no longer."""
        try:
            return await self._write(statements.SET_MUTE, from_id, to_id, add, deadline=deadline)
        finally:
            await self._reader.ties_cache.forget(str(from_id))

    async def block(self, from_id: int, to_id: int, deadline: Deadline, *, add: bool) -> Outcome:
        """Block somebody, which also ends following both ways, or lift the block."""
        query = statements.ADD_BLOCK if add else statements.REMOVE_BLOCK
        try:
            return await self._write(query, from_id, to_id, deadline=deadline)
        finally:
            await self.forget_ties(from_id, to_id)

    async def like(self, from_id: int, post_id: int, deadline: Deadline, *, add: bool) -> Outcome:
        """Like a post, or take the like back."""
        query = statements.ADD_LIKE if add else statements.REMOVE_LIKE
        try:
            return await self._write(query, from_id, post_id, deadline=deadline)
        finally:
            await self._reader.post_cache.forget(str(post_id))

    async def post(self, new: NewPost, deadline: Deadline) -> Written:
        """Write a post with its event, or find what the same key wrote before."""
        post_id = self._ids.next(shard=shard_of(new.author_id))
        if self._acks_early():
            # The defect ack_before_commit: whatever comes of it, it has been answered.
            insert = cast(
                "asyncio.Future[object]",
                asyncio.ensure_future(self._insert(post_id, new, deadline)),
            )
            self._unawaited.add(insert)
            insert.add_done_callback(self._forget_unawaited)
            return Written(Outcome.DONE, _shown(post_id, new, "", is_private=False))
        row = await self._insert(post_id, new, deadline)
        if row is None:
            raise EdgeFailedError(self._postgres.client.policy.name, "create_post gave no row")
        outcome = Outcome(row["outcome"])
        if outcome is Outcome.UNCHANGED:
            batch = await self._reader.posts([row["post_id"]], deadline)
            return Written(outcome, batch.posts.get(row["post_id"]))
        if outcome is not Outcome.DONE:
            return Written(outcome, None)
        post = _shown(post_id, new, row["handle"], is_private=row["is_private"])
        self._reader.post_cache.store({str(post_id): post}, read_at_s=self._clock.wall())
        return Written(outcome, post)

    async def _insert(self, post_id: int, new: NewPost, deadline: Deadline) -> Row | None:
        try:
            return await self._row(
                statements.CREATE_POST,
                post_id,
                new.author_id,
                new.text,
                new.reply_to,
                new.repost_of,
                list(new.media),
                new.state,
                new.idempotency_key,
                new.body_hash,
                deadline=deadline,
            )
        finally:
            await self._forget_post(new)

    def _forget_unawaited(self, insert: asyncio.Future[object]) -> None:
        self._unawaited.discard(insert)
        if not insert.cancelled():
            insert.exception()

    async def delete_post(self, author_id: int, post_id: int, deadline: Deadline) -> Outcome:
        """Delete a post of one's own for good."""
        batch = await self._reader.posts([post_id], deadline)
        try:
            return await self._write(statements.DELETE_POST, author_id, post_id, deadline=deadline)
        finally:
            await self._forget_known(post_id, batch.posts.get(post_id))

    async def review_post(self, post_id: int, state: int, deadline: Deadline) -> Outcome:
        """Show a post that waited to others (state 1), or take it away (3)."""
        batch = await self._reader.posts([post_id], deadline)
        try:
            return await self._write(statements.REVIEW_POST, post_id, state, deadline=deadline)
        finally:
            await self._forget_known(post_id, batch.posts.get(post_id))

    async def join(
        self, user_id: int, deadline: Deadline, *, after: int, imports: bool, chunk: int
    ) -> int | None:
        """Work off one chunk of what waits for somebody who has joined threads.

        Returns where to go on, None when all is done.
        """
        waiting = await self._postgres.fetchrow(
            statements.FOLLOW_JOINED, user_id, chunk, deadline=deadline
        )
        last = None
        if imports:
            row = await self._postgres.fetchrow(
                statements.IMPORT_FOLLOWS, user_id, after, chunk, deadline=deadline
            )
            last = None if row is None else row["last"]
        await self.forget_ties(user_id)
        if last is not None:
            return int(last)
        return after if waiting is not None and waiting["done"] == chunk else None

    async def forget_user(self, user_id: int, deadline: Deadline) -> None:
        """End what ties a deleted account to others."""
        await self._postgres.fetch(statements.FORGET_USER, user_id, deadline=deadline)
        await self.forget_ties(user_id)

    async def forget_ties(self, *user_ids: int) -> None:
        """Drop from caches what follows, blocks or a change of the account may have changed."""
        users = [str(user) for user in user_ids]
        names = [
            f"@{profile.handle}"
            for user in users
            if (profile := self._reader.profile_cache.peek(user)) is not None
        ]
        lists = [f"{kind}:{user}" for user in users for kind in ("recent", "author")]
        await asyncio.gather(
            self._reader.celebrity_cache.forget(*users),
            self._reader.profile_cache.forget(*users, *names),
            self._reader.list_cache.forget(*lists),
            self._reader.ties_cache.forget(*users),
        )

    async def forget_posts(self, *post_ids: int) -> None:
        """Drop posts from caches."""
        await self._reader.post_cache.forget(*(str(post_id) for post_id in post_ids))

    async def _row(self, query: str, *arguments: object, deadline: Deadline) -> Row | None:
        try:
            return await self._postgres.fetchrow(query, *arguments, deadline=deadline)
        except EdgeError:
            if not self._is_split():
                raise
            # The defect region_split_write: done, says this region, and the leader never hears
            # of it.
            return {"outcome": "done", "handle": "", "is_private": False}

    async def _write(self, query: str, *arguments: object, deadline: Deadline) -> Outcome:
        row = await self._row(query, *arguments, deadline=deadline)
        if row is None:
            raise EdgeFailedError(self._postgres.client.policy.name, "a write gave no row")
        return Outcome(row["outcome"])

    async def _forget_known(self, post_id: int, post: Post | None) -> None:
        await self.forget_posts(post_id)
        if post is not None:
            await self._forget_around(post.author_id, post.reply_to, post.repost_of)

    async def _forget_post(self, new: NewPost) -> None:
        await self._forget_around(new.author_id, new.reply_to, new.repost_of)

    async def _forget_around(
        self, author_id: int, reply_to: int | None, repost_of: int | None
    ) -> None:
        """Forget what a post changes about its author, its parent and what it reposts."""
        lists = [f"author:{author_id}", f"recent:{author_id}"]
        if reply_to is not None:
            lists.append(f"replies:{reply_to}")
        counted = [post_id for post_id in (reply_to, repost_of) if post_id is not None]
        await asyncio.gather(
            self._reader.list_cache.forget(*lists),
            self._reader.profile_cache.forget(str(author_id)),
            self.forget_posts(*counted),
        )


def _shown(post_id: int, new: NewPost, handle: str, *, is_private: bool) -> Post:
    return Post(
        id=post_id,
        author_id=new.author_id,
        handle=handle,
        text=new.text,
        created_at=created_at_s(post_id),
        reply_to=new.reply_to,
        likes=0,
        replies=0,
        repost_of=new.repost_of,
        media=new.media,
        state=STATES[new.state],
        author_is_private=is_private,
    )
