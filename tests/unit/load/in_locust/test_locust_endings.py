"""What Locust tells of a run's end, pinned to the versions that are supported."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import gevent
import locust as locust_package
import pytest
from gevent.pool import Group
from locust import User, task
from locust.env import Environment
from locust.event import Events

from surgeproof.load.locust_endings import (
    complete_csv,
    is_asked_to_stop,
    is_second_run_of_a_test,
)


class Waiting(User):
    @task
    def wait_until_asked(self) -> None:
        while not is_asked_to_stop(self):
            gevent.sleep(0)


@pytest.fixture
def environment() -> Iterator[Any]:
    environment = Environment(
        user_classes=[Waiting],
        events=Events(),  # type: ignore[no-untyped-call]  # Locust's own
        parsed_options=Namespace(csv_prefix="x"),
    )
    environment.create_local_runner()
    yield environment
    assert environment.runner is not None
    environment.runner.quit()


def test_the_version_is_one_that_these_tests_pin() -> None:
    assert locust_package.__version__.split(".")[:2] >= ["2", "47"]


def test_a_stop_that_waits_is_noticed_by_the_user(environment: Any) -> None:
    user, group = Waiting(environment), Group()
    greenlet = user.start(group)
    gevent.sleep(0)
    assert not is_asked_to_stop(user)
    user.stop(force=False)
    assert is_asked_to_stop(user)
    greenlet.join(timeout=5)
    assert greenlet.ready()


def test_a_second_user_of_one_test_is_noticed_and_one_of_the_next_is_not(environment: Any) -> None:
    assert not is_second_run_of_a_test(environment)
    assert is_second_run_of_a_test(environment)
    environment.stats.reset_all()  # the button of the web UI: the same test goes on
    assert is_second_run_of_a_test(environment)
    environment.stats.clear_all()  # what the runner does when a test starts
    assert not is_second_run_of_a_test(environment)


def test_csv_files_are_completed_once_however_many_runs_there_are(environment: Any) -> None:
    for _ in range(3):
        complete_csv(environment)
    assert len(environment.events.quitting._handlers) == 1


def test_without_csv_quitting_takes_no_longer(environment: Any) -> None:
    environment.parsed_options.csv_prefix = None
    complete_csv(environment)
    assert not environment.events.quitting._handlers
