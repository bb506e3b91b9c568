"""Journeys: what one arrival does, as ``async def`` methods of a user class."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from surgeproof.errors import UsageError
from surgeproof.load.declared import DeclaredRequest
from surgeproof.load.http.cookies import CookieJar

__all__ = ["CURRENT_ARRIVAL", "Arrival", "Journey", "journey", "journeys_of"]

Method = TypeVar("Method", bound=Callable[[Any], Awaitable[None]])

_MARK = "surgeproof_journey"
# Where Locust's `@tag` puts what it is given.
_TAGS = "locust_tag_set"


@dataclass(frozen=True, slots=True)
class Journey:
    """A journey's name in mixes, its weight where no mix decides, and the method itself.

    ``tags`` are those of `journey` and of Locust's own ``@tag``.
    """

    name: str
    weight: float
    run: Callable[[Any], Awaitable[None]]
    tags: frozenset[str] = frozenset()


class Arrival:
    """One entry of the schedule while it is under way.

    ``next_intended`` is when its next step should start (CLOCK_MONOTONIC): for the first step
    the schedule's moment, then the end of the step before plus its think time. ``was_sent`` says
    that its first request went to the network. ``cookies`` is the session's jar, once it has one.
    """

    __slots__ = (
        "_random",
        "_seed",
        "cookies",
        "index",
        "journey",
        "next_intended",
        "phase_index",
        "step",
        "was_sent",
    )

    def __init__(
        self, index: int, intended: float, phase_index: int, journey: str, seed: int
    ) -> None:
        self.index = index
        self.next_intended = intended
        self.phase_index = phase_index
        self.journey = journey
        self.step = 0
        self.was_sent = False
        self.cookies: CookieJar | None = None
        self._seed = seed
        self._random: random.Random | None = None

    @property
    def random(self) -> random.Random:
        """A generator that depends on the plan's seed and this arrival alone."""
        if self._random is None:
            self._random = random.Random(f"{self._seed}/{self.index}")
        return self._random


# Each arrival is a task of its own, and a task has its own context: `self` can be shared by all.
CURRENT_ARRIVAL: ContextVar[Arrival | None] = ContextVar("surgeproof_arrival", default=None)


def journey(
    name: str, *, weight: float = 1.0, tags: Sequence[str] = ()
) -> Callable[[Method], Method]:
    """Mark an ``async def`` method of a user class as a journey.

    ``name`` is what mixes call it; where each arrival is one request it is that request's name
    too, ``METHOD /template``. ``weight`` counts only where the plan has no mixes. ``tags`` are for
    Locust's ``--tags`` and ``--exclude-tags``, like those of its own ``@tag``.
    """

    def mark(method: Method) -> Method:
        setattr(method, _MARK, (name, weight))
        known: set[str] = getattr(method, _TAGS, set())
        setattr(method, _TAGS, known | set(tags))
        return method

    return mark


def journeys_of(user_class: type) -> Mapping[str, Journey | DeclaredRequest]:
    """Return the journeys and declared requests of a class and its bases, by name.

    Raises:
        UsageError: there is none, or two have one name.
    """
    found: dict[str, Journey | DeclaredRequest] = {}
    for attribute in dir(user_class):
        value = getattr(user_class, attribute, None)
        mark = getattr(value, _MARK, None)
        if isinstance(value, DeclaredRequest):
            each: Journey | DeclaredRequest = value
        elif mark is not None and value is not None:
            tags = frozenset(getattr(value, _TAGS, ()))
            name, weight = mark
            each = Journey(name, weight, value, tags)
        else:
            continue
        if each.name in found:
            raise UsageError(f"{user_class.__name__} has two journeys named {each.name!r}")
        found[each.name] = each
    if not found:
        raise UsageError(
            f"{user_class.__name__} has no method marked with @journey, and no request(…)"
        )
    return found
