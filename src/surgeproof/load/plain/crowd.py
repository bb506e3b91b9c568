"""The crowd: instances of plain user classes, made once, used by one arrival after another."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from gevent import getcurrent
from locust import SequentialTaskSet, TaskSet, User
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately
from locust.user.task import LOCUST_STATE_RUNNING, DefaultTaskSet

from surgeproof.load.plain.arrival import current_arrival
from surgeproof.load.plain.journeys import Course, PlainJourney

__all__ = ["INTERRUPTIONS", "Crowd", "Visitor"]

# How a task says that its task set is over; Locust then goes on in the set around it.
INTERRUPTIONS = (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately)


class Visitor:
    """One instance of a user class, with the task sets that it has entered."""

    def __init__(self, user: User) -> None:
        self.user = user
        # Locust's task sets have no types of their own.
        self._entered: dict[tuple[type[TaskSet], ...], Any] = {}
        # What `User.run` sets up before its own loop: `self.wait()` and the like need it.
        self._root: Any = DefaultTaskSet(user)
        user._taskset_instance = self._root  # noqa: SLF001
        user._state = LOCUST_STATE_RUNNING  # noqa: SLF001

    def perform(self, journey: PlainJourney) -> None:
        """Run a journey once, in the current greenlet.

        Raises:
            Exception: whatever the task raises, `INTERRUPTIONS` among it.
        """
        self.user._greenlet = getcurrent()  # noqa: SLF001 - what `User.greenlet` gives
        task: Any = journey.task
        match journey.course:
            case Course.TASK:
                self._enter(journey.sets).execute_task(task)
            case Course.TURN:
                turn = self._enter((*journey.sets, task))
                turn.execute_task(turn.get_next_task())
            case Course.SESSION:
                _run_session(task(self._place(journey.sets)))

    def leave(self) -> None:
        """Run ``on_stop`` of what the instance has entered, and its own."""
        for entered in reversed(self._entered.values()):
            entered.on_stop()
        user: Any = self.user
        user.on_stop()

    def _enter(self, sets: tuple[type[TaskSet], ...]) -> Any:
        """Return the instance of the innermost set; the first time it is made and started."""
        if not sets:
            return self._root
        entered = self._entered.get(sets)
        if entered is None:
            entered = sets[-1](self._place(sets[:-1]))
            with apart_from_arrival():
                entered.on_start()
            self._entered[sets] = entered
        return entered

    def _place(self, sets: tuple[type[TaskSet], ...]) -> Any:
        """Return what Locust hands a set as its parent: the set around it, or the user."""
        return self._enter(sets) if sets else self.user


class Crowd:
    """The instances of all classes that wait for an arrival; the longest waiting goes first."""

    def __init__(self, make: Callable[[type[User]], User]) -> None:
        self._make = make
        self._idle: dict[type[User], deque[Visitor]] = {}
        self.size = 0

    def take(self, user_class: type[User]) -> Visitor:
        """Return an idle instance, or a new one once its ``on_start`` is over.

        Raises:
            Exception: whatever ``on_start`` raises.
        """
        idle = self._idle.get(user_class)
        return idle.popleft() if idle else self.add(user_class)

    def give_back(self, visitor: Visitor) -> None:
        """Let the next arrival have an instance."""
        self._idle.setdefault(type(visitor.user), deque()).append(visitor)

    def add(self, user_class: type[User]) -> Visitor:
        """Return a new instance that has started; nobody else has it yet.

        Raises:
            Exception: whatever ``on_start`` raises.
        """
        visitor = Visitor(self._make(user_class))
        with apart_from_arrival():
            visitor.user.on_start()
        self.size += 1
        return visitor

    def retire(self) -> None:
        """Note that an instance is not coming back."""
        self.size -= 1

    def idle(self) -> Iterator[Visitor]:
        """Yield every idle instance."""
        for visitors in self._idle.values():
            yield from visitors


@contextlib.contextmanager
def apart_from_arrival() -> Iterator[None]:
    """Keep requests made inside out of the current arrival's account."""
    arrival = current_arrival()
    if arrival is None or arrival.is_apart:
        yield
        return
    arrival.is_apart = True
    try:
        yield
    finally:
        arrival.is_apart = False


def _run_session(taskset: Any) -> None:
    """Run a task set as one session, with its user's wait time between tasks.

    A sequence runs through once, whether or not its last task interrupts it; any other set runs
    as Locust runs it, until a task interrupts it.
    """
    is_sequence = issubclass(type(taskset), SequentialTaskSet)
    if not is_sequence:
        taskset.run()
        return
    taskset.on_start()
    try:
        for _ in range(len(taskset.tasks)):
            taskset.schedule_task(taskset.get_next_task())
        queue = taskset._task_queue  # noqa: SLF001 - tasks may put others in front
        while queue:
            # A set within the sequence ends by an interruption, and the sequence goes on.
            with contextlib.suppress(RescheduleTask, RescheduleTaskImmediately):
                taskset.execute_next_task()
            if queue:
                taskset.wait()
    finally:
        taskset.on_stop()
