"""Journeys: what one arrival does, as ``async def`` methods of a user class."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from surgeproof.errors import UsageError

__all__ = ["CURRENT_ARRIVAL", "Arrival", "Journey", "journey", "journeys_of"]

Method = TypeVar("Method", bound=Callable[[Any], Awaitable[None]])

_MARK = "surgeproof_journey"


@dataclass(frozen=True, slots=True)
class Journey:
    """A journey's name in mixes, its weight where no mix decides, and the method itself."""

    name: str
    weight: float
    run: Callable[[Any], Awaitable[None]]


class Arrival:
    """One entry of the schedule while it is under way.

    ``next_intended`` is when its next step should start (CLOCK_MONOTONIC): for the first step
    the schedule's moment, then the end of the step before plus its think time. ``late_s`` is how
    far behind the schedule the first step really started, None until it has.
    """

    __slots__ = ("_random", "_seed", "index", "journey", "late_s", "next_intended", "phase", "step")

    def __init__(self, index: int, intended: float, phase: str, journey: str, seed: int) -> None:
        self.index = index
        self.next_intended = intended
        self.phase = phase
        self.journey = journey
        self.step = 0
        self.late_s: float | None = None
        self._seed = seed
        self._random: random.Random | None = None

    @property
    def was_sent(self) -> bool:
        return self.late_s is not None

    @property
    def random(self) -> random.Random:
        """A generator that depends on the plan's seed and this arrival alone."""
        if self._random is None:
            self._random = random.Random(f"{self._seed}/{self.index}")
        return self._random


# Each arrival is a task of its own, and a task has its own context: `self` can be shared by all.
CURRENT_ARRIVAL: ContextVar[Arrival | None] = ContextVar("surgeproof_arrival", default=None)


def journey(name: str, *, weight: float = 1.0) -> Callable[[Method], Method]:
    """Mark an ``async def`` method of a user class as a journey.

    ``name`` is what mixes call it; where each arrival is one request it is that request's name
    too, ``METHOD /template``. ``weight`` counts only where the plan has no mixes.
    """

    def mark(method: Method) -> Method:
        setattr(method, _MARK, (name, weight))
        return method

    return mark


def journeys_of(user_class: type) -> Mapping[str, Journey]:
    """Return the journeys of a class and its bases, by name.

    Raises:
        UsageError: there is none, or two have one name.
    """
    found: dict[str, Journey] = {}
    for attribute in dir(user_class):
        method = getattr(user_class, attribute, None)
        mark = getattr(method, _MARK, None)
        if mark is None or method is None:
            continue
        name, weight = mark
        if name in found:
            raise UsageError(f"{user_class.__name__} has two journeys named {name!r}")
        found[name] = Journey(name, weight, method)
    if not found:
        raise UsageError(f"{user_class.__name__} has no method marked with @journey")
    return found
