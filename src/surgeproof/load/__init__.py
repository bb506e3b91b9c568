"""Load: arrivals as a pure function of plan and seed, sent open-loop by Locust or k6.

Scenario files import `OpenLoopUser` and `journey` from here. They are loaded on first use, for
`OpenLoopUser` needs Locust, which patches the whole process; the schedule needs only numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from surgeproof.load.client import Response
    from surgeproof.load.declared import request
    from surgeproof.load.feeds import Feed
    from surgeproof.load.journeys import journey
    from surgeproof.load.popularity import Zipf
    from surgeproof.load.user import OpenLoopUser

__all__ = ["Feed", "OpenLoopUser", "Response", "Zipf", "journey", "request"]


def __getattr__(name: str) -> object:
    homes = {
        "Feed": "feeds",
        "OpenLoopUser": "user",
        "Response": "client",
        "Zipf": "popularity",
        "journey": "journeys",
        "request": "declared",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{homes[name]}"), name)
