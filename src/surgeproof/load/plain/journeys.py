"""Journeys of plain users: what one arrival can do, found on the classes of a locustfile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from locust import TaskSet, User

from surgeproof.errors import UsageError

__all__ = ["Course", "PlainJourney", "plain_journeys"]


class Course(Enum):
    """How an arrival goes through what its journey names."""

    TASK = "one call of a task"
    TURN = "the next task of a set that keeps an order of its own"
    SESSION = "a task set from its start to its end"


@dataclass(frozen=True, slots=True)
class PlainJourney:
    """A journey's name in mixes, its weight where no mix decides, and what it runs.

    ``sets`` are the task sets that the task is nested in, the outermost first; ``task`` is a
    function or, for a turn or a session, the task set itself.
    """

    name: str
    weight: float
    user_class: type[User]
    sets: tuple[type[TaskSet], ...]
    task: Callable[[Any], None] | type[TaskSet]
    course: Course


def plain_journeys(
    user_classes: Iterable[type[User]], *, by_session: bool
) -> Mapping[str, PlainJourney]:
    """Return the journeys of all classes by name, with the weights of the file.

    A journey is named by its task, with the task sets around it (``Browse.read``), and with the
    class in front where there are several. ``by_session`` takes a task set as one journey; else
    its tasks are journeys of their own, unless it picks them in an order of its own.

    Raises:
        UsageError: there is no task, or two of one name.
    """
    classes = [each for each in user_classes if each.tasks and each.weight > 0]
    found: dict[str, PlainJourney] = {}
    for user_class in classes:
        prefix = (user_class.__name__,) if len(classes) > 1 else ()
        for journey in _journeys_of(user_class, prefix, by_session=by_session):
            if journey.name in found:
                raise UsageError(f"two tasks are named {journey.name!r}; accepted: each name once")
            found[journey.name] = journey
    if not found:
        raise UsageError("the locustfile has no user class with a task")
    return found


def _journeys_of(
    user_class: type[User], prefix: tuple[str, ...], *, by_session: bool
) -> Iterator[PlainJourney]:
    def walk(
        tasks: list[Any], sets: tuple[type[TaskSet], ...], weight: float
    ) -> Iterator[PlainJourney]:
        # Locust repeats a task in the list as often as its weight says.
        for task, count in Counter(tasks).items():
            share = weight * count / len(tasks)
            course = _course_of(task, by_session=by_session)
            if course is None:
                yield from walk(task.tasks, (*sets, task), share)
                continue
            parts = (*prefix, *(each.__name__ for each in sets), task.__name__)
            yield PlainJourney(".".join(parts), share, user_class, sets, task, course)

    yield from walk(list(user_class.tasks), (), float(user_class.weight))


def _course_of(task: Any, *, by_session: bool) -> Course | None:
    """Return how a task runs; None for a task set whose tasks are journeys of their own."""
    if not (isinstance(task, type) and issubclass(task, TaskSet)):
        return Course.TASK
    if by_session:
        return Course.SESSION
    # SequentialTaskSet, MarkovTaskSet and whoever else decides what comes next.
    picks_for_itself = task.get_next_task is not TaskSet.get_next_task
    return Course.TURN if picks_for_itself or not task.tasks else None
