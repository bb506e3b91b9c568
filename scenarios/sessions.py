"""Whole visits instead of single requests: log in, read, think, post, look at it, like.

``surgeproof run scenarios/sessions.yaml`` starts visits by the plan; by hand: ``locust -f
scenarios/sessions.py --host http://127.0.0.1:8080``, with ``--exclude-tags write`` for those
alone that post nothing. Visits start open-loop, whatever became of those before; within a visit
each step waits for the one before and for the visitor's think time.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from surgeproof.load import OpenLoopUser, Response, journey

# Seeded accounts are u00000 … u09999, all with this password.
SEEDED = 10_000
PASSWORD = "launch-day"  # noqa: S105 - of the generated accounts of a rehearsal
# Seconds between two steps: a mean, and the most, so that a visit ends within the run's patience.
THINK_MEAN_S = 0.6
THINK_MOST_S = 1.5
PAGE = 50


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody logged in, for as long as the visit lasts."""

    handle: str
    user_id: int
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Visitors(OpenLoopUser):
    """Everybody who visits; each arrival is one visit. No mix names them: the weights decide."""

    nonce: str
    known: dict[str, Visit]

    async def prepare(self) -> None:
        """Make what this run writes recognisable: two runs with one seed write alike."""
        self.nonce = secrets.token_hex(3)
        self.known = {}

    async def read_back(self, kind: str, key: str) -> int:
        """Count the posts that carry a key, in their author's own list.

        Raises:
            RuntimeError: the list cannot be read now, or only from a fallback.
        """
        del kind  # the only kind is post
        handle = key.partition(".")[0]
        visit = self.known.get(handle) or await self._log_in(handle)
        if visit is None:
            raise RuntimeError(f"{handle} cannot log in")
        self.known[handle] = visit
        found, before = 0, ""
        while True:
            path = f"/v1/users/{visit.user_id}/posts?limit={PAGE}{before}"
            answer = await self.client.get(path, headers=visit.headers)
            if not answer.is_served or answer.degraded:
                raise RuntimeError(f"{path}: {answer.status} {answer.error_kind}{answer.degraded}")
            posts = answer.json()["posts"]
            found += sum(key in post["text"].split() for post in posts)
            if len(posts) < PAGE:
                return found
            before = f"&before={posts[-1]['id']}"

    @journey("read the feed", weight=6, tags=["read"])
    async def read(self) -> None:
        """Log in, page through the feed, open what is on top."""
        visit = await self._log_in(self._handle())
        if visit is None:
            return
        await self._think()
        posts = await self._read_feed(visit)
        for post_id in posts[:2]:
            await self._think()
            await self._read_post(visit, post_id)

    @journey("read and like", weight=3, tags=["read", "like"])
    async def like(self) -> None:
        """Log in, read, like what is on top."""
        visit = await self._log_in(self._handle())
        if visit is None:
            return
        await self._think()
        for post_id in (await self._read_feed(visit))[:1]:
            await self._think()
            await self._like(visit, post_id)

    @journey("post and look", weight=2, tags=["write"])
    async def write(self) -> None:
        """Log in, read, write a post, look whether it is there, like it."""
        visit = await self._log_in(self._handle())
        if visit is None:
            return
        await self._think()
        await self._read_feed(visit)
        await self._think()
        post_id = await self._post(visit)
        if post_id is None:
            return
        await self._think()
        await self._read_post(visit, post_id)
        await self._like(visit, post_id)

    # -- steps ------------------------------------------------------------------------------------

    async def _think(self) -> None:
        await self.think(min(self.random.expovariate(1 / THINK_MEAN_S), THINK_MOST_S))

    async def _log_in(self, handle: str) -> Visit | None:
        credentials = {"handle": handle, "password": PASSWORD}
        answer = await self.client.post("/v1/sessions", json=credentials, name="POST /v1/sessions")
        if not answer.is_served:
            return None
        data = answer.json()
        return Visit(handle, data["user_id"], data["token"])

    async def _read_feed(self, visit: Visit) -> list[int]:
        answer = await self.client.get(
            "/v1/feed/home", headers=visit.headers, name="GET /v1/feed/home"
        )
        return [post["id"] for post in answer.json()["items"]] if answer.is_served else []

    async def _read_post(self, visit: Visit, post_id: int) -> None:
        await self.client.get(
            f"/v1/posts/{post_id}",
            headers=visit.headers,
            name="GET /v1/posts/{id}",
            check=lambda answer: answer.json()["post"]["id"] == post_id,
        )

    async def _post(self, visit: Visit) -> int | None:
        key = f"{visit.handle}.{self.nonce}{self.random.getrandbits(64):016x}"
        answer = await self.client.post(
            "/v1/posts",
            json={"text": f"On a visit {key} #hello"},
            headers={**visit.headers, "Idempotency-Key": key},
            name="POST /v1/posts",
            check=lambda answer: key in answer.json()["post"]["text"],
        )
        self.ledger.write("post", key, fate_of(answer))
        if not answer.is_served:
            return None
        post_id: int = answer.json()["post"]["id"]
        return post_id

    async def _like(self, visit: Visit, post_id: int) -> None:
        await self.client.post(
            f"/v1/posts/{post_id}/like", headers=visit.headers, name="POST /v1/posts/{id}/like"
        )

    def _handle(self) -> str:
        return f"u{self.random.randrange(SEEDED):05d}"


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
