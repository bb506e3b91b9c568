"""One wide event for a request, sampled: what slices are cut from afterwards."""

from __future__ import annotations

import random
from typing import Protocol

from starlette.responses import Response

from target_app.serving.exchange import Exchange

__all__ = ["WideEvents"]

# Of ordinary answers one in so many is kept, of the others each.
SAMPLE_RATE = 10


class _Log(Protocol):
    def info(self, event: str, **fields: object) -> None: ...


class _Route(Protocol):
    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...


class WideEvents:
    """Writes events to the log; each says how many requests it stands for."""

    def __init__(self, log: _Log, region: str, source: random.Random) -> None:
        self._log, self._region, self._random = log, region, source

    def note(
        self,
        route: _Route,
        exchange: Exchange,
        response: Response,
        delay_s: float,
        duration_s: float,
    ) -> None:
        """Write the event of a request, unless it is left out of the sample."""
        is_ordinary = response.status_code < 400 and not exchange.degradations
        if is_ordinary and self._random.randrange(SAMPLE_RATE):
            return
        self._log.info(
            "request",
            sample_rate=SAMPLE_RATE if is_ordinary else 1,
            region=self._region,
            method=route.method,
            route=route.path,
            status=response.status_code,
            tier=f"T{exchange.tier}",
            degraded=",".join(sorted({each.feature for each in exchange.degradations})),
            shadow=exchange.is_shadow,
            calls=sum(exchange.calls.values()),
            delay_ms=round(delay_s * 1e3, 3),
            duration_ms=round(duration_s * 1e3, 3),
        )
