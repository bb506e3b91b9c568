"""The same journeys with somebody listening to Locust's request event."""

from __future__ import annotations

from locust import events
from ours_journeys import (  # type: ignore[import-not-found] # beside this file
    Journeys,
)

__all__ = ["Journeys", "hear"]


@events.request.add_listener  # type: ignore[untyped-decorator] # Locust
def hear(**_: object) -> None:
    """Be told of every request: what it costs is the event."""
