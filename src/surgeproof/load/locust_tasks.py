"""Journeys as Locust sees them: tasks of the user class, so that its own selections work.

Locust's ``--tags`` and ``--exclude-tags``, the class picker of its web UI and its task ratios all
look at ``tasks`` of a user class. So that is where the journeys are; whichever of them Locust
picks to run drives the whole load. What a selection leaves there is what the load may use.

Internals of Locust that this relies on (2.47; pinned by a test): tags are in ``locust_tag_set`` of
a task; `filter_tasks_by_tags` replaces ``tasks`` of the class by those that pass; tasks are called
with the user and named by ``__name__``; what ``@task`` marks has ``locust_task_weight``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from surgeproof.errors import UsageError
from surgeproof.load.declared import DeclaredRequest
from surgeproof.load.journeys import Journey, journeys_of
from surgeproof.model.plan import Load

__all__ = ["JourneyTask", "check_tasks", "chosen_journeys", "journey_tasks", "only"]

Journeys = Mapping[str, Journey | DeclaredRequest]


@dataclass(frozen=True)
class JourneyTask:
    """A journey in the list of a user class's tasks; called as a task, it drives the load."""

    journey: str
    locust_tag_set: frozenset[str]

    @property
    def __name__(self) -> str:
        return self.journey

    def __call__(self, user: Any) -> None:
        user.drive_load()


def journey_tasks(user_class: type) -> list[JourneyTask]:
    """Return the journeys of a class as tasks, sorted by name; none if it has none that work."""
    try:
        journeys = journeys_of(user_class)
    except UsageError:
        return []  # told where the load is driven, and a base class needs none
    return [JourneyTask(name, journeys[name].tags) for name in sorted(journeys)]


def check_tasks(user_class: type) -> None:
    """Refuse tasks of Locust's own kind: beside journeys they would never run by the schedule.

    Raises:
        UsageError: a method is marked with ``@task``.
    """
    marked = [
        name
        for name in dir(user_class)
        if name != "drive_load" and hasattr(getattr(user_class, name), "locust_task_weight")
    ]
    if marked:
        raise UsageError(
            f"{user_class.__name__} has {', '.join(marked)} marked with @task;"
            " accepted: async methods marked with @journey, and request(…)"
        )


def chosen_journeys(user_class: type) -> Journeys:
    """Return the journeys of a class that Locust's selections leave in its tasks.

    Raises:
        UsageError: the class has no journey, two of one name, or none is left.
    """
    journeys = journeys_of(user_class)
    tasks: list[object] = getattr(user_class, "tasks", [])
    left = {each.journey for each in tasks if isinstance(each, JourneyTask)}
    chosen = {name: each for name, each in journeys.items() if name in left}
    if not chosen:
        tags = sorted({tag for each in journeys.values() for tag in each.tags})
        raise UsageError(
            f"--tags or --exclude-tags leave no journey of {user_class.__name__};"
            f" its tags: {', '.join(tags) or 'none'}"
        )
    return MappingProxyType(chosen)


def only(load: Load, chosen: Collection[str]) -> Load:
    """Return the load with mixes of the chosen journeys alone.

    Moments and number of arrivals stay as they are; the arrivals of journeys left out are drawn
    again over the rest, in proportion to their weights.

    Raises:
        UsageError: a phase's mix would be empty.
    """
    mixes = {
        mix: MappingProxyType({name: weights[name] for name in weights if name in chosen})
        for mix, weights in load.mixes.items()
    }
    for phase in load.phases:
        if phase.mix in mixes and not mixes[phase.mix]:
            raise UsageError(
                f"phase {phase.name!r}: nothing of mix {phase.mix!r} is left by --tags or"
                f" --exclude-tags; it has {', '.join(load.mixes[phase.mix])}"
            )
    return replace(load, mixes=MappingProxyType(mixes))
