"""What a service remembers about the request that it is answering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import Request

from target_app.edge.deadline import Deadline
from target_app.serving.degradation import Degradation, parse_degraded

__all__ = ["Exchange", "Recorder", "exchange_of", "mark_degraded", "relay_degraded"]

SCOPE_KEY = "target_app.exchange"


class Recorder(Protocol):
    """Who counts fallbacks."""

    def note_fallback(self, degradation: Degradation) -> None:
        """Count one feature answered by a fallback."""
        ...


@dataclass(slots=True)
class Exchange:
    """One request and its answer so far; ``bucket`` is its user's place (0 to 127) in the cut.

    A shadow request is a copy of somebody's: it is answered, and leaves no trace.
    ``marks_fallbacks`` is False only where the defect silent_fallback is on.
    ``calls`` counts what the request asked of its dependencies, by edge.
    """

    recorder: Recorder
    tier: int
    bucket: int
    deadline: Deadline
    is_shadow: bool = False
    marks_fallbacks: bool = True
    degradations: list[Degradation] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)

    def internal_headers(self) -> dict[str, str]:
        """Return the headers that hand tier and user bucket on to the next service."""
        headers = {"X-Tier": f"T{self.tier}", "X-User-Prio": str(self.bucket)}
        if self.is_shadow:
            headers["X-Shadow"] = "1"
        return headers


def exchange_of(request: Request) -> Exchange:
    """Return the exchange of a request that came through an endpoint of ours."""
    exchange: Exchange = request.scope[SCOPE_KEY]
    return exchange


def mark_degraded(
    request: Request, feature: str, mode: str, cause: str, age_s: float | None = None
) -> None:
    """Mark the answer: it carries the ``Degraded`` header, and ``degraded`` in a JSON body."""
    exchange = exchange_of(request)
    if not exchange.marks_fallbacks:
        return
    degradation = Degradation(feature, mode, cause, age_s)
    exchange.degradations.append(degradation)
    exchange.recorder.note_fallback(degradation)


def relay_degraded(request: Request, items: Sequence[str]) -> None:
    """Mark the answer with what an upstream's answer said about itself."""
    for degradation in parse_degraded(items):
        mark_degraded(
            request, degradation.feature, degradation.mode, degradation.cause, degradation.age_s
        )
