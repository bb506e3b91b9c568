"""What surgeproof runs in the benchmarks: one request for each arrival."""

from __future__ import annotations

import asyncio
import time

from surgeproof.load import OpenLoopUser, journey
from surgeproof.load.alarm import make_alarm


class OneRequest(OpenLoopUser):
    """Sends ``GET /`` by the schedule, and says which timer wakes the engine's loop."""

    async def prepare(self) -> None:
        # The very call that the engine makes, on the same loop.
        alarm = make_alarm(asyncio.get_running_loop(), lambda: None, time.monotonic)
        alarm.close()
        print(f"alarm: {type(alarm).__name__}", flush=True)

    @journey("GET /")
    async def read(self) -> None:
        await self.client.get("/")
