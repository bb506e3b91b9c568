"""Launch day fifteen hours early: everybody comes at once, and nothing has been read before."""

from __future__ import annotations

import asyncio

import launch_day

# Viewers whose feeds nobody has asked for: the preparation below reads one feed and no more.
FRESH = 400


class EarlyStart(launch_day.LaunchDay):
    """As on launch day, with viewers whose home timelines have yet to be built."""

    async def prepare(self) -> None:
        """Look around as ever, then send people who have not been there."""
        await super().prepare()
        step = launch_day.BLOCKABLE.start // FRESH
        places = asyncio.Semaphore(launch_day.LOGINS_AT_ONCE)
        # Between the handles of the first ones, whose feeds are warm by now.
        handles = [f"u{number * step + step // 2:05d}" for number in range(FRESH)]
        self.viewers = tuple(
            await asyncio.gather(*(self._log_in(handle, places) for handle in handles))
        )
