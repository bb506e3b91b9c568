"""Launch day's users, and one account that most of them follow and that does not stop posting."""

from __future__ import annotations

import asyncio

import launch_day

from surgeproof.load import journey

# Of all posts, the share that is the celebrity's: about one a second at the plan's rates.
CELEBRITY_RATIO = 0.4


class CelebrityPost(launch_day.LaunchDay):
    """As on launch day; many of the posts are one person's."""

    celebrity: launch_day.Viewer

    async def prepare(self) -> None:
        """Find who has the most followers among the authors of what is read, and log in."""
        await super().prepare()
        places = asyncio.Semaphore(launch_day.LOGINS_AT_ONCE)
        headers = self.viewers[0].headers
        posts = await asyncio.gather(
            *(
                self._insist("GET", f"/v1/posts/{post_id}", places, headers=headers)
                for post_id in self.shelf.posts[:200]
            )
        )
        handles = sorted({answer.json()["post"]["handle"] for answer in posts})
        profiles = await asyncio.gather(
            *(
                self._insist("GET", f"/v1/users/{handle}", places, headers=headers)
                for handle in handles
            )
        )
        known = max((page.json() for page in profiles), key=lambda page: page["followers"])
        self.celebrity = await self._log_in(known["handle"], places)

    @journey("POST /v1/posts")
    async def post(self) -> None:
        if self.random.random() >= CELEBRITY_RATIO:
            await super().post()
            return
        key = f"{self.celebrity.handle}.{self.nonce}{self.random.getrandbits(64):016x}"
        await self.client.post(
            "/v1/posts",
            json={"text": f"hello all of you {key}"},
            headers={**self.celebrity.headers, "Idempotency-Key": key},
            name="POST /v1/posts#celebrity",
        )
