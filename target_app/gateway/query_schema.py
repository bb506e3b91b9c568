"""The GraphQL schema: what can be read through ``POST /graphql``, over the services' answers.

Importing this takes about a second of processor time: only who answers a query does.
"""

from __future__ import annotations

from typing import TypeAlias
from urllib.parse import quote, urlencode

import msgspec
import strawberry
from starlette.requests import Request
from strawberry.dataloader import DataLoader

from target_app.edge import HttpAnswer
from target_app.gateway.context import GatewayContext
from target_app.identity.tokens import Token
from target_app.serving import exchange_of, relay_degraded

__all__ = ["Asker", "schema"]

_MAX_PAGE = 50


class _Post(msgspec.Struct):
    id: int
    author_id: int
    handle: str
    text: str
    created_at: float
    likes: int
    replies: int
    reposts: int = 0
    reply_to: int | None = None
    repost_of: int | None = None
    media: tuple[str, ...] = ()


class _Posts(msgspec.Struct):
    posts: list[_Post]


class _Items(msgspec.Struct):
    items: list[_Post]
    next_cursor: str | None = None


class _Profile(msgspec.Struct):
    user_id: int
    handle: str
    display_name: str
    followers: int
    following: int
    bio: str = ""


class _Problem(msgspec.Struct):
    detail: str


class Asker:
    """One request's way to the services; a post that is asked for twice is fetched once."""

    def __init__(self, context: GatewayContext, request: Request, viewer: Token) -> None:
        self.viewer = viewer
        self._context = context
        self._request = request
        one_by_one = context.service.has_defect("n_plus_one")
        self._posts: DataLoader[int, _Post | None] = DataLoader(
            self._load_posts, max_batch_size=1 if one_by_one else _MAX_PAGE, cache=not one_by_one
        )

    async def post(self, post_id: int) -> Post | None:
        """Return a post, unless it is hidden from the viewer."""
        found = await self._posts.load(post_id)
        return None if found is None else Post(source=found)

    async def feed(self, first: int, after: str | None) -> FeedPage:
        """Return a page of the viewer's home feed."""
        query = {"limit": str(first)} | ({"cursor": after} if after is not None else {})
        exchange = exchange_of(self._request)
        path = f"/internal/feed/{self.viewer.user_id}?{urlencode(query)}"
        headers = exchange.internal_headers()
        page = self._of(
            await self._context.feed.request(
                "GET", path, headers=headers, deadline=exchange.deadline
            )
        ).json(_Items)
        return FeedPage(items=[Post(source=each) for each in page.items], after=page.next_cursor)

    async def replies(self, post_id: int, first: int) -> list[Post]:
        """Return the replies to a post, as the viewer sees them."""
        return await self._page(f"/internal/posts/{post_id}/replies", first)

    async def posts_of(self, user_id: int, first: int) -> list[Post]:
        """Return a user's posts, as the viewer sees them."""
        return await self._page(f"/internal/users/{user_id}/posts", first)

    async def user(self, handle: str) -> User | None:
        """Return a profile, unless there is none for the viewer."""
        path = f"/internal/profiles/by-handle/{quote(handle, safe='')}"
        answer = await self._ask(f"{path}?viewer_id={self.viewer.user_id}")
        return None if answer.status == 404 else User(source=self._of(answer).json(_Profile))

    async def _page(self, path: str, first: int) -> list[Post]:
        answer = await self._ask(f"{path}?viewer_id={self.viewer.user_id}&limit={first}")
        return [Post(source=each) for each in self._of(answer).json(_Posts).posts]

    async def _ask(self, path: str) -> HttpAnswer:
        return await self._context.ask_graph(self._request, "GET", path)

    async def _load_posts(self, ids: list[int]) -> list[_Post | None]:
        asked = {"ids": ids, "viewer_id": self.viewer.user_id}
        path = "/internal/posts/batch"
        answer = self._of(await self._context.ask_graph(self._request, "POST", path, asked))
        found = {post.id: post for post in answer.json(_Posts).posts}
        return [found.get(each) for each in ids]

    def _of(self, answer: HttpAnswer) -> HttpAnswer:
        """Hand on what an answer says about itself, and raise if it is a refusal."""
        relay_degraded(self._request, answer.degraded)
        if answer.status >= 400:
            raise ValueError(answer.json(_Problem).detail)
        return answer


_Info: TypeAlias = strawberry.Info[Asker, None]


@strawberry.type
class Author:
    """Who wrote a post."""

    id: strawberry.ID
    handle: str


@strawberry.type
class Post:
    """A post with its counts."""

    source: strawberry.Private[_Post]

    @strawberry.field
    def id(self) -> strawberry.ID:
        """Return the id, as text: it has more digits than a number of JavaScript."""
        return strawberry.ID(str(self.source.id))

    @strawberry.field
    def author(self) -> Author:
        """Return who wrote it."""
        return Author(id=strawberry.ID(str(self.source.author_id)), handle=self.source.handle)

    @strawberry.field
    def text(self) -> str:
        """Return what it says."""
        return self.source.text

    @strawberry.field
    def created_at(self) -> float:
        """Return when it was written, in seconds since 1970 UTC."""
        return self.source.created_at

    @strawberry.field
    def likes(self) -> int:
        """Return how many like it."""
        return self.source.likes

    @strawberry.field
    def reposts(self) -> int:
        """Return how many show it to their followers."""
        return self.source.reposts

    @strawberry.field
    def media(self) -> list[str]:
        """Return the SHA-256 of its images."""
        return list(self.source.media)

    @strawberry.field
    async def reply_to(self, info: _Info) -> Post | None:
        """Return what it replies to."""
        replied = self.source.reply_to
        return None if replied is None else await info.context.post(replied)

    @strawberry.field
    async def repost_of(self, info: _Info) -> Post | None:
        """Return what it shows again."""
        shown = self.source.repost_of
        return None if shown is None else await info.context.post(shown)

    @strawberry.field
    async def replies(self, info: _Info, first: int = 20) -> list[Post]:
        """Return the replies to it, the oldest first."""
        return await info.context.replies(self.source.id, _page_of(first))


@strawberry.type
class FeedPage:
    """A page of posts; ``after`` asks for the next one, and is missing on the last."""

    items: list[Post]
    after: str | None


@strawberry.type
class User:
    """A profile."""

    source: strawberry.Private[_Profile]

    @strawberry.field
    def id(self) -> strawberry.ID:
        """Return the id, as text."""
        return strawberry.ID(str(self.source.user_id))

    @strawberry.field
    def handle(self) -> str:
        """Return the handle."""
        return self.source.handle

    @strawberry.field
    def display_name(self) -> str:
        """Return the name that is shown."""
        return self.source.display_name

    @strawberry.field
    def bio(self) -> str:
        """Return what they say about themselves."""
        return self.source.bio

    @strawberry.field
    def followers(self) -> int:
        """Return how many follow them."""
        return self.source.followers

    @strawberry.field
    def following(self) -> int:
        """Return how many they follow."""
        return self.source.following

    @strawberry.field
    async def posts(self, info: _Info, first: int = 20) -> list[Post]:
        """Return their posts, the newest first."""
        return await info.context.posts_of(self.source.user_id, _page_of(first))


@strawberry.type
class Query:
    """What can be asked for."""

    @strawberry.field
    def viewer(self, info: _Info) -> Author:
        """Return who asks."""
        token = info.context.viewer
        return Author(id=strawberry.ID(str(token.user_id)), handle=token.handle)

    @strawberry.field
    async def feed(self, info: _Info, first: int = 20, after: str | None = None) -> FeedPage:
        """Return a page of the viewer's home feed."""
        return await info.context.feed(_page_of(first), after)

    @strawberry.field
    async def post(self, info: _Info, id: strawberry.ID) -> Post | None:  # noqa: A002  # its name in the schema
        """Return a post."""
        return await info.context.post(_number(id))

    @strawberry.field
    async def user(self, info: _Info, handle: str) -> User | None:
        """Return a profile."""
        return await info.context.user(handle)


def _page_of(first: int) -> int:
    if not 1 <= first <= _MAX_PAGE:
        raise ValueError(f"first is {first} (accepted: 1 to {_MAX_PAGE})")
    return first


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**63):
        raise ValueError(f"id is {text[:80]!r} (accepted: the id of a post)")
    return int(text)


schema = strawberry.Schema(Query)
