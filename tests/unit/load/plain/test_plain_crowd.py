"""Instances of plain users: who serves next, what runs once, and how much Locust has to stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gevent import getcurrent
from locust import SequentialTaskSet, TaskSet, User, task
from locust.env import Environment
from locust.event import EventHook
from locust.exception import RescheduleTaskImmediately
from requests.cookies import RequestsCookieJar

from surgeproof.load.plain.arrival import PlainArrival, attach
from surgeproof.load.plain.crowd import Crowd
from surgeproof.load.plain.dispatcher import Itinerary
from surgeproof.load.plain.journeys import plain_journeys
from surgeproof.load.plain.run import crowd_sizes
from surgeproof.load.schedule import build_schedule
from surgeproof.model.plan import ArrivalPart, Load, Phase


class Diary(User):
    """Notes what is called; the environment is the list."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.notes: list[str] = environment

    def on_start(self) -> None:
        self.notes.append("start")

    def on_stop(self) -> None:
        self.notes.append("stop")


class Shopper(Diary):
    @task
    def look(self) -> None:
        self.notes.append("look")

    @task
    class Browse(TaskSet):
        def on_start(self) -> None:
            self.user.notes.append("enter")  # type: ignore[attr-defined]

        @task
        def turn(self) -> None:
            self.user.notes.append("turn")  # type: ignore[attr-defined]

    @task
    class Purchase(SequentialTaskSet):
        def on_start(self) -> None:
            self.user.notes.append("cart")  # type: ignore[attr-defined]

        def on_stop(self) -> None:
            self.user.notes.append("bye")  # type: ignore[attr-defined]

        @task
        def choose(self) -> None:
            self.user.notes.append("choose")  # type: ignore[attr-defined]

        @task
        def pay(self) -> None:
            self.user.notes.append("pay")  # type: ignore[attr-defined]


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def crowd(notes: list[str]) -> Crowd:
    make: Callable[[type[User]], User] = lambda user_class: user_class(notes)  # noqa: E731
    return Crowd(make)


def test_on_start_runs_once_for_an_instance_and_not_for_each_arrival(
    crowd: Crowd, notes: list[str]
) -> None:
    journey = plain_journeys([Shopper], by_session=False)["look"]
    for _ in range(2):
        visitor = crowd.take(Shopper)
        visitor.perform(journey)
        crowd.give_back(visitor)
    assert notes == ["start", "look", "look"]
    assert crowd.size == 1


def test_the_instance_that_has_waited_longest_serves_next(crowd: Crowd) -> None:
    first, second = crowd.take(Shopper), crowd.take(Shopper)
    crowd.give_back(first)
    crowd.give_back(second)
    assert [crowd.take(Shopper), crowd.take(Shopper)] == [first, second]


def test_a_task_set_is_entered_once_by_each_instance(crowd: Crowd, notes: list[str]) -> None:
    journey = plain_journeys([Shopper], by_session=False)["Browse.turn"]
    visitor = crowd.take(Shopper)
    visitor.perform(journey)
    visitor.perform(journey)
    assert notes == ["start", "enter", "turn", "turn"]


def test_a_sequence_by_request_goes_on_where_the_instance_left_it(
    crowd: Crowd, notes: list[str]
) -> None:
    journey = plain_journeys([Shopper], by_session=False)["Purchase"]
    visitor = crowd.take(Shopper)
    for _ in range(3):
        visitor.perform(journey)
    visitor.leave()
    assert notes == ["start", "cart", "choose", "pay", "choose", "bye", "stop"]


def test_a_sequence_by_session_runs_from_its_start_to_its_end_each_time(
    crowd: Crowd, notes: list[str]
) -> None:
    journey = plain_journeys([Shopper], by_session=True)["Purchase"]
    visitor = crowd.take(Shopper)
    visitor.perform(journey)
    visitor.perform(journey)
    assert notes == ["start", *["cart", "choose", "pay", "bye"] * 2]


def test_a_session_of_another_set_ends_where_a_task_interrupts_it(
    crowd: Crowd, notes: list[str]
) -> None:
    class Wanderer(Diary):
        @task
        class Wander(TaskSet):
            @task
            def step(self) -> None:
                self.user.notes.append("step")  # type: ignore[attr-defined]
                if len(self.user.notes) > 3:  # type: ignore[attr-defined]
                    self.interrupt()  # type: ignore[no-untyped-call]

    journey = plain_journeys([Wanderer], by_session=True)["Wander"]
    with pytest.raises(RescheduleTaskImmediately):
        crowd.take(Wanderer).perform(journey)
    assert notes == ["start", "step", "step", "step"]


def test_requests_of_on_start_are_kept_apart_from_the_arrival(crowd: Crowd) -> None:
    apart: list[bool] = []
    arrival = PlainArrival(0, 0.0, "one", "look", seed=7)

    class Watcher(Diary):
        def on_start(self) -> None:
            apart.append(arrival.is_apart)

        @task
        def look(self) -> None:
            apart.append(arrival.is_apart)

    here: Any = getcurrent()
    before = getattr(here, "spawn_tree_locals", None)
    attach(here, arrival)
    try:
        crowd.take(Watcher).perform(plain_journeys([Watcher], by_session=False)["look"])
    finally:
        here.spawn_tree_locals = before
    assert apart == [True, False]


@pytest.mark.parametrize(
    ("rate", "bound", "wanted"),
    [
        pytest.param(50.0, 4000, 50, id="the busiest second"),
        pytest.param(50.0, 20, 20, id="no more than may be under way"),
        pytest.param(0.5, 4000, 1, id="at least one"),
    ],
)
def test_the_crowd_is_as_large_as_the_busiest_second_wants(
    rate: float, bound: int, wanted: int
) -> None:
    journeys = plain_journeys([Shopper], by_session=False)
    phase = Phase("one", 0.0, 4.0, (ArrivalPart("constant", {"rate": rate}),))
    load = Load(Path("mine.py"), "locust", "request", (phase,), {})
    weights = {name: each.weight for name, each in journeys.items()}
    schedule = build_schedule(load, 7).with_weights(weights, 7)
    assert crowd_sizes(Itinerary(schedule, journeys, 7, bound)) == {Shopper: wanted}
    assert np.all(schedule.journey_index >= 0)


def test_locust_still_has_the_internals_that_this_relies_on() -> None:
    assert EventHook()._handlers == []  # type: ignore[no-untyped-call]
    environment = Environment()
    assert hasattr(environment.events, "request")
    assert environment.available_user_classes is None
    assert hasattr(User([]), "_taskset_instance")
    assert User([])._state is None
    assert RequestsCookieJar()._cookies == {}  # type: ignore[attr-defined]
    visit: Any = Shopper.Purchase(Shopper([]))  # type: ignore[no-untyped-call]
    assert list(visit._task_queue) == []
    assert TaskSet.get_next_task is not SequentialTaskSet.get_next_task
