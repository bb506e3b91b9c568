"""One GET, declared and as a journey: what the engine costs, and what Python for each adds."""

from __future__ import annotations

from surgeproof.load import OpenLoopUser, journey, request
from surgeproof.load.yardstick import JOURNEY, REQUEST

__all__ = ["BareUser"]


class BareUser(OpenLoopUser):
    """Asks for the same small page all the time."""

    bare = request("GET", "/", name=REQUEST)

    @journey(JOURNEY)
    async def ask(self) -> None:
        await self.client.get("/", name=JOURNEY)
