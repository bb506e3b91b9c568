"""Journeys of ours in the benchmarks: a coroutine for each arrival."""

from __future__ import annotations

from surgeproof.load import OpenLoopUser, journey


class Journeys(OpenLoopUser):
    """Sends one GET, or goes through a login, a post and its reading."""

    @journey("GET /")
    async def read(self) -> None:
        """Send one request."""
        await self.client.get("/")

    @journey("journey")
    async def journey(self) -> None:
        """Log in, post, and read back with the token."""
        user = f"u{self.random.getrandbits(24)}"
        login = await self.client.post("/login", json={"user": user})
        headers = {"Authorization": f"Bearer {login.json()['token']}"}
        text = f"words of {user}"
        post = await self.client.post("/posts", json={"text": text}, headers=headers)
        await self.client.get(
            f"/posts/{post.json()['id']}",
            headers=headers,
            name="GET /posts/{id}",
            check=lambda answer: answer.json()["text"] == text,
        )
