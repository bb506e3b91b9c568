"""One entry of the schedule while a plain task works on it, and how its requests find it."""

from __future__ import annotations

import random

from gevent import Greenlet, getcurrent

__all__ = ["PlainArrival", "attach", "current_arrival"]

_KEY = "surgeproof.arrival"


class PlainArrival:
    """An arrival under way; moments are CLOCK_MONOTONIC seconds.

    ``step`` counts the requests that it has made. While it ``is_apart`` requests are not its own:
    during an instance's ``on_start``, and once its task is over. ``pending`` is the request that
    our own client has under way, as method, name and start: with Locust's clients it is never
    known.
    """

    __slots__ = (
        "began",
        "index",
        "intended",
        "is_apart",
        "journey",
        "pending",
        "phase",
        "seed",
        "step",
    )

    def __init__(self, index: int, intended: float, phase: str, journey: str, seed: int) -> None:
        self.index = index
        self.intended = intended
        self.phase = phase
        self.journey = journey
        self.seed = seed
        self.step = 0
        self.began: float | None = None
        self.is_apart = False
        self.pending: tuple[str, str, float] | None = None

    @property
    def was_sent(self) -> bool:
        return self.step > 0

    def random(self) -> random.Random:
        """Return a generator that depends on the plan's seed and this arrival alone."""
        return random.Random(f"{self.seed}/{self.index}")


def attach(greenlet: Greenlet, arrival: PlainArrival | None) -> None:
    """Say whose requests those of a greenlet are, and of all greenlets that it will spawn."""
    # A new greenlet shares this dictionary with the one that spawned it: whatever a task spawns
    # belongs to the same arrival.
    greenlet.spawn_tree_locals = {_KEY: arrival}


def current_arrival() -> PlainArrival | None:
    """Return the arrival that the running greenlet works on, None outside of any."""
    shared = getattr(getcurrent(), "spawn_tree_locals", None)
    if shared is None:
        return None
    arrival: PlainArrival | None = shared.get(_KEY)
    return arrival
