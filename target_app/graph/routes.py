"""The HTTP interface of the graph process."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge.errors import EdgeError
from target_app.flags import Flags
from target_app.graph.model import Post, Profile
from target_app.graph.reads import EDGE, PAGE, GraphReader, Loaded
from target_app.graph.tao import KINDS
from target_app.graph.visibility import Visibility
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

_WRITABLE = ("follows", "photo_follows", "blocks", "mutes", "likes")
# More would make one request as dear as hundreds of others.
_MOST_IDS = 200
_MOST_RANGE = 1000
_LONGEST_TEXT = 500
_LONGEST_KEY = 200


# How many waiting follows are worked off by one call.
_CHUNK = 200
_MOST_IMAGES = 4
_MOST_FOUND = 20


class _Host(Protocol):
    flags: Flags

    def note_error(self, feature: str, error: Exception) -> None: ...

    def fallback_allowed(self, edge: str) -> bool: ...

    def has_defect(self, word: str) -> bool: ...


class _Batch(msgspec.Struct):
    ids: list[int]
    viewer_id: int | None = None
    hide_muted: bool = False


class _Recent(msgspec.Struct):
    viewer_id: int
    limit: int = 20
    whole: bool = False
    before: int = 0
    hide_muted: bool = False


class _NewPost(msgspec.Struct):
    author_id: int
    text: str
    idempotency_key: str
    reply_to: int | None = None
    repost_of: int | None = None
    media: tuple[str, ...] = ()
    state: int = 1


class _Review(msgspec.Struct):
    state: int


class _Changed(msgspec.Struct):
    user_ids: list[int] = []
    post_ids: list[int] = []
    handles: list[str] = []


class _Join(msgspec.Struct):
    imports: bool = False
    after: int = 0


class GraphRoutes:
    """The handlers of the graph process."""

    def __init__(self, reader: GraphReader, writer: GraphWriter, host: _Host) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes, the most frequent first: they are matched in this order."""
        association = "/internal/assoc/{kind}/{from_id}"
        request_path = "/internal/users/{user_id}/requests/{follower_id}"
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
            ServiceRoute("DELETE", "/internal/posts/{post_id}", self.delete_post, 1, "post"),
            ServiceRoute("POST", "/internal/posts/{post_id}/review", self.review_post, 1, "post"),
            ServiceRoute("GET", "/internal/search", self.search, 2, "search"),
            ServiceRoute("POST", request_path, self.accept_request, 1, "follow"),
            ServiceRoute("DELETE", request_path, self.deny_request, 1, "follow"),
            ServiceRoute("POST", "/internal/users/{user_id}/join", self.join, 1, "join"),
            ServiceRoute("DELETE", "/internal/users/{user_id}", self.forget_user, 1, "join"),
            ServiceRoute("POST", "/internal/invalidate", self.invalidate, 1, "invalidate"),
            ServiceRoute("GET", association + "/count", self.count_associations, 2, "graph"),
            ServiceRoute("GET", association, self.show_associations, 2, "graph"),
            ServiceRoute("GET", "/internal/users/{user_id}/followers", self.followers, 2, "graph"),
        )

    async def show_posts(self, request: Request) -> Response:
        """Return posts by id, in the order asked for, without those hidden from the viewer."""
        asked = await read_json(request, _Batch)
        if len(asked.ids) > _MOST_IDS and not self._host.has_defect("fat_batch"):
            detail = f"{len(asked.ids)} ids (accepted: at most {_MOST_IDS})"
            raise ServiceError(400, "bad_request", detail)
        deadline = exchange_of(request).deadline
        batch, visible = await asyncio.gather(
            self._reader.posts(asked.ids, deadline),
            self._visibility(request, asked.viewer_id, hides_muted=asked.hide_muted),
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
            self._reader.recent(
                asked.viewer_id,
                exchange_of(request).deadline,
                whole=asked.whole,
                before=asked.before,
            ),
            self._visibility(request, asked.viewer_id, hides_muted=asked.hide_muted),
        )
        self._mark(request, "feed", loaded)
        posts = visible.filter(loaded.value.posts)[: max(asked.limit, 0)]
        more = loaded.value.has_more or len(loaded.value.posts) > len(posts) >= asked.limit
        body: dict[str, object] = {"posts": posts, "more": more}
        if asked.whole:
            body |= await self._ties(request, asked.viewer_id)
        return json_answer(request, body)

    async def _ties(self, request: Request, viewer_id: int) -> dict[str, object]:
        """Return whom a timeline's owner pulls, and whom they follow in the photos app too."""
        deadline = exchange_of(request).deadline
        try:
            celebrities, friends = await asyncio.gather(
                self._reader.celebrities(viewer_id, deadline),
                self._reader.association_ids(
                    KINDS["photo_follows"], viewer_id, 0, _MOST_RANGE, deadline
                ),
            )
        except EdgeError as error:
            if not self._host.fallback_allowed(EDGE):
                raise
            # The posts alone make a page; a timeline is built another time.
            self._host.note_error("feed", error)
            mark_degraded(request, "feed", "partial", EDGE)
            return {}
        self._mark(request, "feed", celebrities)
        return {"celebrities": celebrities.value.ids, "friends": friends}

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
        shortest = 0 if sent.repost_of is not None else 1
        if not shortest <= len(sent.text) <= _LONGEST_TEXT or "\0" in sent.text:
            detail = f"text (accepted: 1 to {_LONGEST_TEXT} characters, none of them NUL)"
            raise ServiceError(400, "bad_request", detail)
        if not 1 <= len(sent.idempotency_key) <= _LONGEST_KEY or "\0" in sent.idempotency_key:
            detail = f"idempotency_key (accepted: 1 to {_LONGEST_KEY} characters)"
            raise ServiceError(400, "bad_request", detail)
        if len(sent.media) > _MOST_IMAGES or sent.state not in (1, 2):
            detail = f"media or state (accepted: at most {_MOST_IMAGES} images; 1 or 2)"
            raise ServiceError(400, "bad_request", detail)
        body = (sent.text, sent.reply_to, sent.repost_of, sent.media)
        new = NewPost(
            sent.author_id,
            sent.text,
            sent.reply_to,
            sent.idempotency_key,
            repost_of=sent.repost_of,
            media=sent.media,
            state=sent.state,
            body_hash=hashlib.sha256(msgspec.json.encode(body)).digest(),
        )
        written = await self._writer.post(new, exchange_of(request).deadline)
        _refuse(written.outcome)
        if written.post is None:
            raise ServiceError(
                503, "unavailable", "the post is there but cannot be read now", {"Retry-After": "1"}
            )
        status = 201 if written.outcome is Outcome.DONE else 200
        return json_answer(request, {"post": written.post}, status)

    async def delete_post(self, request: Request) -> Response:
        """Delete a post of one's own; a second time changes nothing."""
        post_id = read_number(request.path_params, "post_id")
        author_id = read_number(request.query_params, "author_id")
        deadline = exchange_of(request).deadline
        outcome = await self._writer.delete_post(author_id, post_id, deadline)
        _refuse(outcome)
        return json_answer(request, {"changed": outcome is Outcome.DONE})

    async def review_post(self, request: Request) -> Response:
        """Show a post that waited to others, or take it away; what did not wait stays as it is."""
        post_id = read_number(request.path_params, "post_id")
        state = (await read_json(request, _Review)).state
        if state not in (1, 3):
            raise ServiceError(400, "bad_request", f"state is {state} (accepted: 1, 3)")
        deadline = exchange_of(request).deadline
        outcome = await self._writer.review_post(post_id, state, deadline)
        return json_answer(request, {"changed": outcome is Outcome.DONE})

    async def search(self, request: Request) -> Response:
        """Return the profiles whose handle begins with ``q`` and that the viewer may see."""
        prefix = request.query_params.get("q", "")
        limit = read_number(request.query_params, "limit", 10, most=_MOST_FOUND)
        found, visible = await asyncio.gather(
            self._reader.search(prefix, _MOST_FOUND * 2, exchange_of(request).deadline),
            self._visibility(request, _viewer(request)),
        )
        users = [msgspec.structs.asdict(each) for each in found if visible.includes(each.user_id)]
        return json_answer(request, {"users": users[:limit]})

    async def accept_request(self, request: Request) -> Response:
        """Let somebody follow a private account."""
        return await self._answer_request(request, agrees=True)

    async def deny_request(self, request: Request) -> Response:
        """Do not let somebody follow a private account."""
        return await self._answer_request(request, agrees=False)

    async def join(self, request: Request) -> Response:
        """Work off one chunk of what waits for somebody who joined; ``next_after`` goes on."""
        user_id = read_number(request.path_params, "user_id")
        asked = await read_json(request, _Join)
        following = await self._writer.join(
            user_id,
            exchange_of(request).deadline,
            after=asked.after,
            imports=asked.imports,
            chunk=_CHUNK,
        )
        return json_answer(request, {"next_after": following})

    async def forget_user(self, request: Request) -> Response:
        """End what ties a deleted account to others, and take away what it wrote."""
        user_id = read_number(request.path_params, "user_id")
        await self._writer.forget_user(user_id, exchange_of(request).deadline)
        return json_answer(request, {})

    async def invalidate(self, request: Request) -> Response:
        """Drop from the caches what has changed elsewhere."""
        changed = await read_json(request, _Changed)
        await asyncio.gather(
            self._writer.forget_ties(*changed.user_ids),
            self._writer.forget_posts(*changed.post_ids),
            self._reader.profile_cache.forget(*(f"@{handle}" for handle in changed.handles)),
        )
        return json_answer(request, {})

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
        return await self._range(request, KINDS["followed_by"], user_id)

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
        outcome = await self._associate(request, kind, from_id, to_id, add=add)
        _refuse(outcome)
        body: dict[str, object] = {"changed": outcome not in (Outcome.UNCHANGED, Outcome.UNKNOWN)}
        if outcome in (Outcome.REQUESTED, Outcome.PENDING):
            body["state"] = outcome.value
        return json_answer(request, body)

    async def _associate(
        self, request: Request, kind: str, from_id: int, to_id: int, *, add: bool
    ) -> Outcome:
        deadline, writer = exchange_of(request).deadline, self._writer
        match kind:
            case "follows" | "photo_follows":
                app = 2 if kind == "follows" else 1
                shared = self._host.flags.text("follow_scope") == "shared"
                return await writer.follow(
                    from_id, to_id, deadline, add=add, app=app, shared=shared
                )
            case "blocks":
                return await writer.block(from_id, to_id, deadline, add=add)
            case "mutes":
                return await writer.mute(from_id, to_id, deadline, add=add)
            case _:
                return await writer.like(from_id, to_id, deadline, add=add)

    async def _answer_request(self, request: Request, *, agrees: bool) -> Response:
        outcome = await self._writer.answer_request(
            read_number(request.path_params, "user_id"),
            read_number(request.path_params, "follower_id"),
            exchange_of(request).deadline,
            agrees=agrees,
            shared=self._host.flags.text("follow_scope") == "shared",
        )
        _refuse(outcome)
        return json_answer(request, {"changed": True})

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

    async def _visibility(
        self, request: Request, viewer_id: int | None, *, hides_muted: bool = False
    ) -> Visibility:
        if viewer_id is None:
            return Visibility(None, None)
        is_open = self._host.has_defect("block_not_honoured_cross_app")
        try:
            loaded = await self._reader.ties(viewer_id, exchange_of(request).deadline)
        except EdgeError as error:
            if not self._host.fallback_allowed(EDGE):
                raise
            # Whom this viewer may see is unknown: nobody but themselves.
            self._host.note_error("blocks", error)
            is_open = is_open or self._host.has_defect("fail_open_moderation")
            if not is_open:
                mark_degraded(request, "blocks", "closed", EDGE)
            return Visibility(viewer_id, None, is_open=is_open)
        self._mark(request, "blocks", loaded)
        return Visibility(viewer_id, loaded.value, hides_muted=hides_muted, is_open=is_open)

    def _mark(self, request: Request, feature: str, loaded: Loaded[object]) -> None:
        if loaded.stale_s is not None:
            mark_degraded(request, feature, "cached", EDGE, loaded.stale_s)


def _viewer(request: Request) -> int | None:
    if "viewer_id" not in request.query_params:
        return None
    return read_number(request.query_params, "viewer_id")


def _kind(request: Request) -> int:
    kind = request.path_params["kind"]
    if kind not in KINDS:
        accepted = ", ".join(KINDS)
        raise ServiceError(404, "unknown_kind", f"kind is {kind!r} (accepted: {accepted})")
    return KINDS[kind]


def _page(request: Request, posts: Sequence[Post]) -> Response:
    limit = read_number(request.query_params, "limit", 20, most=PAGE)
    return json_answer(request, {"posts": posts[:limit]})


def _refuse(outcome: Outcome) -> None:
    if outcome is Outcome.UNKNOWN:
        raise ServiceError(404, "unknown", "no such user or post")
    if outcome is Outcome.BLOCKED:
        raise ServiceError(403, "blocked", "one of the two has blocked the other")
    if outcome is Outcome.REUSED:
        detail = "another request was sent under this Idempotency-Key before"
        raise ServiceError(422, "key_reused", detail)
