"""The moderation service: one question, which costs as much time as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.serving import ServiceRoute, json_answer, read_json
from target_app.side.words import score, verdict

__all__ = ["Moderation"]


class _Text(msgspec.Struct):
    text: str


class Moderation:
    """Judges texts."""

    def __init__(self, cost_s: float) -> None:
        self._cost_s = cost_s

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes of moderation."""
        path = "/moderation/check"
        return (ServiceRoute("POST", path, self.check, 1, "moderation", only_reads=True),)

    async def check(self, request: Request) -> Response:
        """Return the verdict on a text."""
        text = (await read_json(request, _Text)).text
        if self._cost_s > 0:
            # The time that a model would take elsewhere: it keeps no core of this machine busy.
            await asyncio.sleep(self._cost_s)
        value = score(text)
        return json_answer(request, {"verdict": verdict(value), "score": round(value, 3)})
