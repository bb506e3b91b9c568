"""The users of launch day, against the app's public API.

``surgeproof run`` drives them by the plan; by hand: ``locust -f scenarios/launch_day.py --host
http://127.0.0.1:8080``. What arrives when is the plan's matter, how often which journey the mix's;
this file says what each journey does.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass
from typing import Any

from surgeproof.errors import TargetNotReadyError
from surgeproof.load import OpenLoopUser, Response, Zipf, journey

# Seeded accounts are u00000 … u09999, all with this password.
SEEDED = 10_000
PASSWORD = "launch-day"  # noqa: S105 - of the generated accounts of a rehearsal
# As many viewers as a rehearsal of 80 requests a second needs for sessions that look like people's.
VIEWERS = 150
LOGINS_AT_ONCE = 16
# Ten seconds of asking again: what a target sheds right after its start, it serves by then.
TRIES = 14
LONGEST_PAUSE_S = 1.0
# Popularity of accounts and posts: the low end of the published range (see Zipf), the usual guess.
ALPHA = 1.1
# The last accounts are nobody's reading: blocking them hides no post that a journey asks for.
BLOCKABLE = range(SEEDED - 20, SEEDED)
# Of feed reads, the share that are polls with If-None-Match: 16 of 60 steady, 10 of 43 at launch.
POLL_RATIO = 0.25
# Of posts, the share that answer another: 1.5 of 2.7 steady, 2 of 6 at launch.
REPLY_RATIO = 0.4
TAGS = ("launchday", "hello", "firstpost", "threads", "morning", "news", "music", "football")
PAGE = 50


@dataclass(slots=True)
class Viewer:
    """Somebody logged in."""

    handle: str
    user_id: int
    token: str
    etag: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, slots=True)
class Shelf:
    """What there is to look at, found before the start; the most popular first."""

    posts: tuple[int, ...]
    authors: tuple[int, ...]
    blockable: tuple[int, ...]
    post_rank: Zipf
    author_rank: Zipf
    account_rank: Zipf


class LaunchDay(OpenLoopUser):
    """All users of the day; each arrival is one request of one of them."""

    viewers: tuple[Viewer, ...]
    shelf: Shelf
    nonce: str

    async def prepare(self) -> None:
        """Log the viewers in and look what is there to be read.

        Raises:
            TargetNotReadyError: a viewer cannot log in, or nobody's feed holds a post.
        """
        # Two runs with one seed must not sign up the same accounts twice.
        self.nonce = secrets.token_hex(3)
        step = BLOCKABLE.start // VIEWERS
        places = asyncio.Semaphore(LOGINS_AT_ONCE)
        handles = [f"u{number * step:05d}" for number in range(VIEWERS)]
        self.viewers = tuple(
            await asyncio.gather(*(self._log_in(handle, places) for handle in handles))
        )
        self.shelf = await self._look_around(places)

    async def read_back(self, kind: str, key: str) -> int:
        """Count the posts that carry a key, in their author's own list.

        Raises:
            RuntimeError: the list cannot be read now, or only from a fallback.
        """
        del kind  # the only kind is post
        author = next(viewer for viewer in self.viewers if viewer.handle == key.partition(".")[0])
        found, before = 0, ""
        while True:
            path = f"/v1/users/{author.user_id}/posts?limit={PAGE}{before}"
            answer = await self.client.get(path, headers=author.headers)
            if not answer.is_served or answer.degraded:
                raise RuntimeError(f"{path}: {answer.status} {answer.error_kind}{answer.degraded}")
            posts = answer.json()["posts"]
            found += sum(key in post["text"].split() for post in posts)
            if len(posts) < PAGE:
                return found
            before = f"&before={posts[-1]['id']}"

    # -- reading ----------------------------------------------------------------------------------

    @journey("GET /v1/feed/home")
    async def read_feed(self) -> None:
        viewer = self._viewer()
        headers = viewer.headers
        if viewer.etag is not None and self.random.random() < POLL_RATIO:
            headers["If-None-Match"] = viewer.etag
        answer = await self.client.get("/v1/feed/home", headers=headers, check=is_feed_page)
        if answer.is_served:
            viewer.etag = answer.header("ETag") or viewer.etag

    @journey("GET /v1/posts/{id}")
    async def read_post(self) -> None:
        post_id = self._post()
        await self.client.get(
            f"/v1/posts/{post_id}",
            headers=self._viewer().headers,
            check=lambda answer: answer.json()["post"]["id"] == post_id,
        )

    @journey("GET /v1/posts/{id}/replies")
    async def read_replies(self) -> None:
        path = f"/v1/posts/{self._post()}/replies"
        await self.client.get(path, headers=self._viewer().headers, check=is_post_list)

    @journey("GET /v1/users/{handle}")
    async def read_profile(self) -> None:
        handle = f"u{self.shelf.account_rank.rank(self.random):05d}"
        await self.client.get(
            f"/v1/users/{handle}",
            headers=self._viewer().headers,
            check=lambda answer: answer.json()["handle"] == handle,
        )

    @journey("GET /v1/users/{id}/posts")
    async def read_posts_of_user(self) -> None:
        path = f"/v1/users/{self._author()}/posts"
        await self.client.get(path, headers=self._viewer().headers, check=is_post_list)

    @journey("GET /v1/trending")
    async def read_trending(self) -> None:
        await self.client.get("/v1/trending", headers=self._viewer().headers)

    @journey("GET /v1/notifications")
    async def read_notifications(self) -> None:
        await self.client.get("/v1/notifications", headers=self._viewer().headers)

    # -- accounts ---------------------------------------------------------------------------------

    @journey("POST /v1/accounts")
    async def sign_up(self) -> None:
        handle = f"n{self.nonce}{self.random.getrandbits(40):010x}"
        account = {"handle": handle, "password": PASSWORD, "display_name": f"New {handle}"}
        await self.client.post("/v1/accounts", json=account)

    @journey("POST /v1/sessions")
    async def log_in(self) -> None:
        viewer = self._viewer()
        credentials = {"handle": viewer.handle, "password": PASSWORD}
        answer = await self.client.post("/v1/sessions", json=credentials)
        if answer.is_served:
            viewer.token = answer.json()["token"]

    # -- writing ----------------------------------------------------------------------------------

    @journey("POST /v1/posts")
    async def post(self) -> None:
        viewer = self._viewer()
        key = f"{viewer.handle}.{self.nonce}{self.random.getrandbits(64):016x}"
        tag = TAGS[min(int(self.random.expovariate(0.6)), len(TAGS) - 1)]
        body: dict[str, Any] = {"text": f"We are live {key} #{tag}"}
        if self.random.random() < REPLY_RATIO:
            body["reply_to"] = self._post()
        answer = await self.client.post(
            "/v1/posts",
            json=body,
            headers={**viewer.headers, "Idempotency-Key": key},
            check=lambda answer: key in answer.json()["post"]["text"],
        )
        self.ledger.write("post", key, fate_of(answer))

    @journey("POST /v1/posts/{id}/like")
    async def like(self) -> None:
        await self.client.post(f"/v1/posts/{self._post()}/like", headers=self._viewer().headers)

    @journey("DELETE /v1/posts/{id}/like")
    async def unlike(self) -> None:
        await self.client.delete(f"/v1/posts/{self._post()}/like", headers=self._viewer().headers)

    @journey("PUT /v1/users/{id}/follow")
    async def follow(self) -> None:
        viewer = self._viewer()
        path = f"/v1/users/{self._author(apart_from=viewer.user_id)}/follow"
        await self.client.put(path, headers=viewer.headers)

    @journey("DELETE /v1/users/{id}/follow")
    async def unfollow(self) -> None:
        viewer = self._viewer()
        path = f"/v1/users/{self._author(apart_from=viewer.user_id)}/follow"
        await self.client.delete(path, headers=viewer.headers)

    @journey("PUT /v1/users/{id}/block")
    async def block(self) -> None:
        path = f"/v1/users/{self.random.choice(self.shelf.blockable)}/block"
        await self.client.put(path, headers=self._viewer().headers)

    @journey("DELETE /v1/users/{id}/block")
    async def unblock(self) -> None:
        path = f"/v1/users/{self.random.choice(self.shelf.blockable)}/block"
        await self.client.delete(path, headers=self._viewer().headers)

    # -- choosing ---------------------------------------------------------------------------------

    def _viewer(self) -> Viewer:
        return self.random.choice(self.viewers)

    def _post(self) -> int:
        return self.shelf.posts[self.shelf.post_rank.rank(self.random)]

    def _author(self, apart_from: int | None = None) -> int:
        rank = self.shelf.author_rank.rank(self.random)
        author = self.shelf.authors[rank]
        if author == apart_from:
            author = self.shelf.authors[(rank + 1) % len(self.shelf.authors)]
        return author

    # -- preparing --------------------------------------------------------------------------------

    async def _log_in(self, handle: str, places: asyncio.Semaphore) -> Viewer:
        credentials = {"handle": handle, "password": PASSWORD}
        answer = await self._insist("POST", "/v1/sessions", places, json=credentials)
        data = answer.json()
        return Viewer(handle, data["user_id"], data["token"])

    async def _look_around(self, places: asyncio.Semaphore) -> Shelf:
        one = self.viewers[0]
        strangers = await asyncio.gather(
            *(
                self._insist("GET", f"/v1/users/u{number:05d}", places, headers=one.headers)
                for number in BLOCKABLE
            )
        )
        blockable = [answer.json()["user_id"] for answer in strangers]
        pages = await asyncio.gather(
            *(
                self._insist("GET", f"/v1/feed/home?limit={PAGE}", places, headers=viewer.headers)
                for viewer in self.viewers
            )
        )
        authors = {
            post["id"]: post["author_id"]
            for page in pages
            for post in page.json()["items"]
            if post["author_id"] not in blockable
        }
        if not authors:
            raise TargetNotReadyError("no viewer's home feed holds a post; is the app seeded?")
        # The newest posts are read most, and the accounts that most feeds show are known best.
        posts = sorted(authors, reverse=True)
        shown = Counter(authors.values())
        known = sorted(shown, key=lambda author: (-shown[author], author))
        return Shelf(
            posts=tuple(posts),
            authors=tuple(known),
            blockable=tuple(blockable),
            post_rank=Zipf(len(posts), ALPHA),
            author_rank=Zipf(len(known), ALPHA),
            account_rank=Zipf(BLOCKABLE.start, ALPHA),
        )

    async def _insist(
        self, method: str, path: str, places: asyncio.Semaphore, **options: Any
    ) -> Response:
        """Ask until it is served: a target that has just started may still shed."""
        async with places:
            for number in range(TRIES):
                answer = await self.client.request(method, path, **options)
                if answer.is_served:
                    return answer
                await asyncio.sleep(min(LONGEST_PAUSE_S, 0.1 * 2**number))
        raise TargetNotReadyError(
            f"{method} {path} is not served before the start: status {answer.status}"
            f" {answer.error_kind}"
        )


def is_feed_page(answer: Response) -> bool | str:
    """A page of the feed holds posts once each; 304 has no body."""
    if answer.status == 304:
        return True
    ids = [post["id"] for post in answer.json()["items"]]
    return len(ids) == len(set(ids)) or "a post is on one page twice"


def is_post_list(answer: Response) -> bool | str:
    """A list of posts holds each once."""
    ids = [post["id"] for post in answer.json()["posts"]]
    return len(ids) == len(set(ids)) or "a post is in one list twice"


def fate_of(answer: Response) -> str:
    """What is known of a write: done, surely not done, or unknown.

    A refusal by admission control (``X-Shed``) came before the work; any other 5xx, and no answer
    at all, may hide a write that happened.
    """
    if answer.is_served:
        return "ok"
    if 400 <= answer.status < 500 or answer.header("X-Shed") is not None:
        return "fail"
    return "info"
