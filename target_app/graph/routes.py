"""The HTTP interface of the graph process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge.errors import EdgeError
from target_app.graph.model import Post, Profile
from target_app.graph.reads import EDGE, PAGE, GraphReader, Loaded
from target_app.graph.writes import GraphWriter, NewPost, Outcome
from target_app.serving import (
    ServiceError,
    ServiceRoute,
    exchange_of,
    json_answer,
    mark_degraded,
    read_json,
    read_number,
)

__all__ = ["GraphRoutes"]

_KINDS = {"follows": 1, "followed_by": 2, "blocks": 3, "likes": 5, "liked_by": 6}
_WRITABLE = ("follows", "blocks", "likes")
# More would make one request as dear as hundreds of others.
_MOST_IDS = 200
_MOST_RANGE = 1000
_LONGEST_TEXT = 500
_LONGEST_KEY = 200


class _Errors(Protocol):
    def note_error(self, feature: str, error: Exception) -> None: ...

    def fallback_allowed(self, edge: str) -> bool: ...


class _Batch(msgspec.Struct):
    ids: list[int]
    viewer_id: int | None = None


class _Recent(msgspec.Struct):
    viewer_id: int
    limit: int = 20
    whole: bool = False


class _NewPost(msgspec.Struct):
    author_id: int
    text: str
    idempotency_key: str
    reply_to: int | None = None


class GraphRoutes:
    """The handlers of the graph process."""

    def __init__(self, reader: GraphReader, writer: GraphWriter, errors: _Errors) -> None:
        self._reader = reader
        self._writer = writer
        self._errors = errors

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes, the most frequent first: they are matched in this order."""
        association = "/internal/assoc/{kind}/{from_id}"
        return (
            ServiceRoute("POST", "/internal/posts/batch", self.show_posts, 0, "posts"),
            ServiceRoute(
                "GET", "/internal/users/{user_id}/celebrities", self.celebrities, 0, "feed"
            ),
            ServiceRoute("POST", "/internal/recent", self.recent, 0, "feed"),
            ServiceRoute("GET", "/internal/posts/{post_id}/replies", self.replies, 1, "thread"),
            ServiceRoute("GET", "/internal/users/{user_id}/posts", self.user_posts, 1, "profile"),
            ServiceRoute("GET", "/internal/users/{user_id}/profile", self.profile, 1, "profile"),
            ServiceRoute(
                "GET", "/internal/profiles/by-handle/{handle}", self.by_handle, 1, "profile"
            ),
            ServiceRoute("POST", "/internal/posts", self.create_post, 1, "post"),
            ServiceRoute("POST", association + "/{to_id}", self.add_association, 1, "graph"),
            ServiceRoute("DELETE", association + "/{to_id}", self.remove_association, 1, "graph"),
            ServiceRoute("GET", association + "/count", self.count_associations, 2, "graph"),
            ServiceRoute("GET", association, self.show_associations, 2, "graph"),
            ServiceRoute("GET", "/internal/users/{user_id}/followers", self.followers, 2, "graph"),
        )

    async def show_posts(self, request: Request) -> Response:
        """Return posts by id, in the order asked for, without those hidden from the viewer."""
        asked = await read_json(request, _Batch)
        if len(asked.ids) > _MOST_IDS:
            detail = f"{len(asked.ids)} ids (accepted: at most {_MOST_IDS})"
            raise ServiceError(400, "bad_request", detail)
        deadline = exchange_of(request).deadline
        batch, visible = await asyncio.gather(
            self._reader.posts(asked.ids, deadline), self._visibility(request, asked.viewer_id)
        )
        if batch.stale_s is not None:
            mark_degraded(request, "posts", "cached", EDGE, batch.stale_s)
        ordered = [batch.posts[each] for each in asked.ids if each in batch.posts]
        posts = visible.filter(ordered)
        shown = {post.id for post in posts}
        missing = [each for each in asked.ids if each not in shown]
        return json_answer(request, {"posts": posts, "missing": missing})

    async def replies(self, request: Request) -> Response:
        """Return the replies to a post, oldest first."""
        post_id = read_number(request.path_params, "post_id")
        loaded, visible = await asyncio.gather(
            self._reader.replies(post_id, exchange_of(request).deadline),
            self._visibility(request, _viewer(request)),
        )
        self._mark(request, "thread", loaded)
        return _page(request, visible.filter(loaded.value.posts))

    async def user_posts(self, request: Request) -> Response:
        """Return a user's posts, newest first."""
        user_id = read_number(request.path_params, "user_id")
        before = read_number(request.query_params, "before", 0)
        deadline = exchange_of(request).deadline
        visibility = self._visibility(request, _viewer(request))
        if before:
            posts, visible = await asyncio.gather(
                self._reader.older_user_posts(user_id, before, PAGE, deadline), visibility
            )
            return _page(request, visible.filter(posts))
        loaded, visible = await asyncio.gather(
            self._reader.user_posts(user_id, deadline), visibility
        )
        self._mark(request, "profile", loaded)
        return _page(request, visible.filter(loaded.value.posts))

    async def recent(self, request: Request) -> Response:
        """Return the newest posts of the viewer's own choice of people."""
        asked = await read_json(request, _Recent)
        loaded, visible = await asyncio.gather(
            self._reader.recent(asked.viewer_id, exchange_of(request).deadline, whole=asked.whole),
            self._visibility(request, asked.viewer_id),
        )
        self._mark(request, "feed", loaded)
        posts = visible.filter(loaded.value.posts)[: max(asked.limit, 0)]
        return json_answer(request, {"posts": posts})

    async def celebrities(self, request: Request) -> Response:
        """Return the followed accounts whose posts are pulled at reading time."""
        user_id = read_number(request.path_params, "user_id")
        loaded = await self._reader.celebrities(user_id, exchange_of(request).deadline)
        self._mark(request, "feed", loaded)
        return json_answer(request, {"ids": loaded.value.ids})

    async def profile(self, request: Request) -> Response:
        """Return a profile by user id."""
        user_id = read_number(request.path_params, "user_id")
        loaded = await self._reader.profile(user_id, exchange_of(request).deadline)
        return await self._show_profile(request, loaded)

    async def by_handle(self, request: Request) -> Response:
        """Return a profile by handle."""
        handle = request.path_params["handle"]
        loaded = await self._reader.profile_by_handle(handle, exchange_of(request).deadline)
        return await self._show_profile(request, loaded)

    async def create_post(self, request: Request) -> Response:
        """Write a post: 201, or 200 with the first post if the key was used before."""
        sent = await read_json(request, _NewPost)
        if not 1 <= len(sent.text) <= _LONGEST_TEXT or "\0" in sent.text:
            detail = f"text (accepted: 1 to {_LONGEST_TEXT} characters, none of them NUL)"
            raise ServiceError(400, "bad_request", detail)
        if not 1 <= len(sent.idempotency_key) <= _LONGEST_KEY or "\0" in sent.idempotency_key:
            detail = f"idempotency_key (accepted: 1 to {_LONGEST_KEY} characters)"
            raise ServiceError(400, "bad_request", detail)
        new = NewPost(sent.author_id, sent.text, sent.reply_to, sent.idempotency_key)
        written = await self._writer.post(new, exchange_of(request).deadline)
        _refuse(written.outcome)
        if written.post is None:
            raise ServiceError(
                503, "unavailable", "the post is there but cannot be read now", {"Retry-After": "1"}
            )
        status = 201 if written.outcome is Outcome.DONE else 200
        return json_answer(request, {"post": written.post}, status)

    async def add_association(self, request: Request) -> Response:
        """Add an association; a second time changes nothing."""
        return await self._write_association(request, add=True)

    async def remove_association(self, request: Request) -> Response:
        """Remove an association; a second time changes nothing."""
        return await self._write_association(request, add=False)

    async def show_associations(self, request: Request) -> Response:
        """Return the far ends of associations in rising order of their ids."""
        kind = _kind(request)
        return await self._range(request, kind, read_number(request.path_params, "from_id"))

    async def followers(self, request: Request) -> Response:
        """Return followers in rising order of their ids, in chunks."""
        user_id = read_number(request.path_params, "user_id")
        return await self._range(request, _KINDS["followed_by"], user_id)

    async def count_associations(self, request: Request) -> Response:
        """Return the number of associations."""
        from_id = read_number(request.path_params, "from_id")
        deadline = exchange_of(request).deadline
        count = await self._reader.association_count(_kind(request), from_id, deadline)
        return json_answer(request, {"count": count})

    async def _range(self, request: Request, kind: int, from_id: int) -> Response:
        after = read_number(request.query_params, "after", 0)
        limit = read_number(request.query_params, "limit", PAGE, most=_MOST_RANGE)
        deadline = exchange_of(request).deadline
        ids = await self._reader.association_ids(kind, from_id, after, limit, deadline)
        following = ids[-1] if ids and len(ids) == limit else None
        return json_answer(request, {"ids": ids, "next_after": following})

    async def _write_association(self, request: Request, *, add: bool) -> Response:
        kind = request.path_params["kind"]
        from_id = read_number(request.path_params, "from_id")
        to_id = read_number(request.path_params, "to_id")
        if kind not in _WRITABLE:
            accepted = ", ".join(_WRITABLE)
            raise ServiceError(404, "unknown_kind", f"kind is {kind!r} (accepted: {accepted})")
        if kind != "likes" and from_id == to_id:
            raise ServiceError(400, "bad_request", f"{kind} oneself: {from_id}")
        deadline = exchange_of(request).deadline
        write = {
            "follows": self._writer.follow,
            "blocks": self._writer.block,
            "likes": self._writer.like,
        }[kind]
        outcome = await write(from_id, to_id, deadline, add=add)
        _refuse(outcome)
        return json_answer(request, {"changed": outcome is Outcome.DONE})

    async def _show_profile(self, request: Request, loaded: Loaded[Profile | None]) -> Response:
        profile = loaded.value
        visible = await self._visibility(request, _viewer(request))
        if profile is None or not visible.includes(profile.user_id):
            if profile is not None and not visible.is_known:
                detail = "whether this user may be seen cannot be looked up now"
                raise ServiceError(503, "dependency_lost", detail, {"Retry-After": "1"})
            raise ServiceError(404, "unknown_user", "no such user")
        self._mark(request, "profile", loaded)
        return json_answer(request, msgspec.structs.asdict(profile))

    async def _visibility(self, request: Request, viewer_id: int | None) -> _Visibility:
        if viewer_id is None:
            return _Visibility(None, frozenset())
        try:
            loaded = await self._reader.blocks(viewer_id, exchange_of(request).deadline)
        except EdgeError as error:
            if not self._errors.fallback_allowed(EDGE):
                raise
            # Whom this viewer may see is unknown: nobody but themselves.
            self._errors.note_error("blocks", error)
            mark_degraded(request, "blocks", "closed", EDGE)
            return _Visibility(viewer_id, None)
        self._mark(request, "blocks", loaded)
        return _Visibility(viewer_id, loaded.value)

    def _mark(self, request: Request, feature: str, loaded: Loaded[object]) -> None:
        if loaded.stale_s is not None:
            mark_degraded(request, feature, "cached", EDGE, loaded.stale_s)


class _Visibility:
    """Whose posts one viewer may see; with unknown blocks (``None``) only their own."""

    def __init__(self, viewer_id: int | None, hidden: frozenset[int] | None) -> None:
        self._viewer_id = viewer_id
        self._hidden = hidden

    @property
    def is_known(self) -> bool:
        """Whether it is known whom the viewer must not see."""
        return self._hidden is not None

    def includes(self, user_id: int) -> bool:
        """Return whether what this user wrote may be shown."""
        if self._hidden is None:
            return user_id == self._viewer_id
        return user_id not in self._hidden

    def filter(self, posts: Iterable[Post]) -> list[Post]:
        """Return the posts that may be shown, in their order."""
        return [post for post in posts if self.includes(post.author_id)]


def _viewer(request: Request) -> int | None:
    if "viewer_id" not in request.query_params:
        return None
    return read_number(request.query_params, "viewer_id")


def _kind(request: Request) -> int:
    kind = request.path_params["kind"]
    if kind not in _KINDS:
        accepted = ", ".join(_KINDS)
        raise ServiceError(404, "unknown_kind", f"kind is {kind!r} (accepted: {accepted})")
    return _KINDS[kind]


def _page(request: Request, posts: Sequence[Post]) -> Response:
    limit = read_number(request.query_params, "limit", 20, most=PAGE)
    return json_answer(request, {"posts": posts[:limit]})


def _refuse(outcome: Outcome) -> None:
    if outcome is Outcome.UNKNOWN:
        raise ServiceError(404, "unknown", "no such user or post")
    if outcome is Outcome.BLOCKED:
        raise ServiceError(403, "blocked", "one of the two has blocked the other")
