"""A probe of how late the event loop runs what is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from target_app.clock import Clock

__all__ = ["probe_loop_lag"]

_PERIOD_S = 0.025


async def probe_loop_lag(clock: Clock, note: Callable[[float], None]) -> None:
    """Call ``note`` with the lag in seconds, 40 times a second, until cancelled."""
    while True:
        due_s = clock.monotonic() + _PERIOD_S
        await asyncio.sleep(_PERIOD_S)
        note(max(clock.monotonic() - due_s, 0.0))
