"""Launch day's users, and a few bots that post as fast as they can, from the same address."""

from __future__ import annotations

import asyncio
from itertools import cycle

import launch_day

from surgeproof.load import journey

# Each gets about ten posts a second done, or tries to: far above what a person can do.
BOTS = 2


class SpamWave(launch_day.LaunchDay):
    """As on launch day; what bots send is named ``#bot``, so that it can be told apart."""

    async def prepare(self) -> None:
        """Prepare as ever, and log the bots in: accounts that nobody else uses."""
        await super().prepare()
        places = asyncio.Semaphore(launch_day.LOGINS_AT_ONCE)
        handles = [f"u{launch_day.BLOCKABLE.stop - 1 - number:05d}" for number in range(BOTS)]
        self.bots = cycle([await self._log_in(handle, places) for handle in handles])

    @journey("POST /v1/posts#bot")
    async def spam(self) -> None:
        bot = next(self.bots)
        key = f"spam-{self.random.getrandbits(64):016x}"
        await self.client.post(
            "/v1/posts",
            json={"text": f"follow me for free coins {key}"},
            headers={**bot.headers, "Idempotency-Key": key},
        )
