"""What plain user classes have for an arrival to do."""

from __future__ import annotations

import pytest
from locust import FastHttpUser, HttpUser, SequentialTaskSet, TaskSet, User, task

from surgeproof.errors import UsageError
from surgeproof.load.plain.journeys import Course, plain_journeys


class Reader(HttpUser):
    @task(3)
    def look(self) -> None: ...

    @task
    class Profiles(TaskSet):
        @task(3)
        def open_one(self) -> None: ...

        @task
        def turn_away(self) -> None: ...


class Buyer(FastHttpUser):
    weight = 3

    @task
    class Purchase(SequentialTaskSet):
        @task
        def choose(self) -> None: ...

        @task
        def pay(self) -> None: ...


def test_tasks_are_journeys_by_their_functions_names_with_the_weights_of_the_file() -> None:
    found = plain_journeys([Reader], by_session=False)
    assert {name: each.weight for name, each in found.items()} == {
        "look": 0.75,
        "Profiles.open_one": 0.1875,
        "Profiles.turn_away": 0.0625,
    }
    assert found["Profiles.open_one"].sets == (Reader.Profiles,)


def test_several_classes_put_their_names_in_front_and_share_by_their_weights() -> None:
    found = plain_journeys([Reader, Buyer], by_session=False)
    assert found["Reader.look"].weight == 0.75
    assert found["Buyer.Purchase"].weight == 3.0


def test_a_set_with_an_order_of_its_own_takes_turns_and_as_a_session_runs_whole() -> None:
    assert plain_journeys([Buyer], by_session=False)["Purchase"].course is Course.TURN
    assert plain_journeys([Buyer], by_session=True)["Purchase"].course is Course.SESSION
    assert plain_journeys([Reader], by_session=True).keys() == {"look", "Profiles"}


def test_a_file_without_tasks_is_refused() -> None:
    class Idle(HttpUser):
        pass

    with pytest.raises(UsageError, match="no user class with a task"):
        plain_journeys([Idle], by_session=False)


def test_two_tasks_of_one_name_are_refused() -> None:
    def look(user: HttpUser) -> None: ...

    def other(user: HttpUser) -> None: ...

    other.__name__ = "look"
    twice: type[User] = type("Twice", (HttpUser,), {"tasks": [look, other]})

    with pytest.raises(UsageError, match="two tasks are named 'look'"):
        plain_journeys([twice], by_session=False)
