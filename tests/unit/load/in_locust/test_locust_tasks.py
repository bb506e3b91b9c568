"""Locust's selections among tasks choose among journeys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from locust import tag, task
from locust.env import Environment
from locust.event import Events
from locust.user.inspectuser import get_ratio
from locust.user.task import filter_tasks_by_tags

from surgeproof.errors import UsageError
from surgeproof.load.declared import request
from surgeproof.load.handover import LoadOrder
from surgeproof.load.journeys import journey
from surgeproof.load.locust_tasks import chosen_journeys, journey_tasks, only
from surgeproof.load.schedule import build_schedule
from surgeproof.load.user import OpenLoopUser, engine_setup
from surgeproof.model.plan import ArrivalPart, Load, Phase


def make_user() -> type[OpenLoopUser]:
    """A class of its own for each test: a selection changes it."""

    class Someone(OpenLoopUser):
        @tag("read")  # type: ignore[type-var]  # Locust declares tags for functions alone
        @journey("GET /a")
        async def read(self) -> None: ...

        @tag("slow")  # type: ignore[type-var]  # as above
        @journey("POST /b", weight=3, tags=["write"])
        async def write(self) -> None: ...

        trending = request("GET", "/c", tags=["read", "fast"])

    return Someone


def select(
    user_class: type[OpenLoopUser], tags: set[str] | None = None, but: set[str] | None = None
) -> set[str]:
    filter_tasks_by_tags(user_class, tags, but)
    return set(chosen_journeys(user_class))


def make_load(mixes: dict[str, dict[str, float]]) -> Load:
    phase = Phase(
        "one", 0.0, 10.0, (ArrivalPart("constant", {"rate": 100.0}),), next(iter(mixes), "default")
    )
    return Load(Path("x.py"), "locust", "request", (phase,), mixes)


def test_without_a_selection_all_journeys_are_chosen() -> None:
    user_class = make_user()
    assert set(chosen_journeys(user_class)) == {"GET /a", "POST /b", "GET /c"}
    assert [each.journey for each in journey_tasks(user_class)] == ["GET /a", "GET /c", "POST /b"]


@pytest.mark.parametrize(
    ("tags", "but", "left"),
    [
        pytest.param({"read"}, None, {"GET /a", "GET /c"}, id="one tag"),
        pytest.param({"fast", "slow"}, None, {"GET /c", "POST /b"}, id="either of two"),
        pytest.param(None, {"fast"}, {"GET /a", "POST /b"}, id="all but one"),
        pytest.param({"read"}, {"fast"}, {"GET /a"}, id="one without another"),
        pytest.param({"write"}, None, {"POST /b"}, id="a tag of journey itself"),
    ],
)
def test_locusts_tags_choose_journeys(
    tags: set[str] | None, but: set[str] | None, left: set[str]
) -> None:
    assert select(make_user(), tags, but) == left


def test_a_selection_that_leaves_nothing_says_which_tags_there_are() -> None:
    with pytest.raises(UsageError, match="no journey of Someone; its tags: fast, read, slow, wri"):
        select(make_user(), {"nothing"})


def test_the_class_picker_chooses_by_name() -> None:
    user_class = make_user()
    environment: Any = Environment(
        user_classes=[user_class],
        events=Events(),  # type: ignore[no-untyped-call]  # Locust's own
        available_user_classes={"Someone": user_class},  # type: ignore[dict-item]  # a class, too
        available_user_tasks={"Someone": user_class.tasks},
    )
    described: Any = user_class.json()  # type: ignore[no-untyped-call]  # Locust's own
    assert described["tasks"] == ["GET /a", "GET /c", "POST /b"]
    environment.update_user_class({"user_class_name": "Someone", "tasks": ["GET /c"]})
    assert set(chosen_journeys(user_class)) == {"GET /c"}
    ratio: Any = get_ratio([user_class], {"Someone": 1}, total=True)
    assert set(ratio["Someone"]["tasks"]) == {"GET /c"}


def test_arrivals_of_journeys_left_out_are_drawn_again_over_the_rest() -> None:
    load = make_load({"mix": {"GET /a": 2.0, "GET /c": 1.0, "POST /b": 3.0}})
    whole = build_schedule(load, 5)
    left = build_schedule(only(load, {"GET /a", "GET /c"}), 5)
    np.testing.assert_array_equal(left.times_s, whole.times_s)
    assert left.journeys == ("GET /a", "GET /c")
    share = float(np.mean(left.journey_index == 0))
    assert 0.6 < share < 0.73  # two to one, of a thousand


def test_a_phase_of_which_nothing_is_left_is_named() -> None:
    load = make_load({"mix": {"POST /b": 3.0}})
    with pytest.raises(UsageError, match=r"phase 'one': nothing of mix 'mix' is left .* POST /b"):
        only(load, {"GET /a"})


def test_the_schedule_of_a_selection_is_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    user_class = make_user()
    filter_tasks_by_tags(user_class, {"read"}, None)
    load = make_load({"mix": {"GET /a": 2.0, "GET /c": 1.0, "POST /b": 3.0}})
    setup = engine_setup(user_class, LoadOrder(5, "http://127.0.0.1:1", load), {})  # type: ignore[arg-type]  # like an environment
    assert setup.schedule.journeys == ("GET /a", "GET /c")
    assert len(setup.schedule) == 1000


def test_a_mix_that_names_a_stranger_is_an_error_whatever_is_chosen() -> None:
    user_class = make_user()
    filter_tasks_by_tags(user_class, {"read"}, None)
    load = make_load({"mix": {"GET /a": 2.0, "GET /x": 1.0}})
    with pytest.raises(UsageError, match="has no journey 'GET /x', which a mix names"):
        engine_setup(user_class, LoadOrder(5, "http://127.0.0.1:1", load), {})  # type: ignore[arg-type]  # like an environment


def test_a_task_of_locusts_own_is_refused() -> None:
    class Mixed(make_user()):  # type: ignore[misc]  # made for this test
        @task
        def other(self) -> None: ...

    load = make_load({})
    with pytest.raises(UsageError, match="Mixed has other marked with @task"):
        engine_setup(Mixed, LoadOrder(5, "http://127.0.0.1:1", load), {})  # type: ignore[arg-type]  # like an environment


def test_any_task_that_locust_picks_drives_the_load() -> None:
    driven: list[str] = []

    class Driver:
        def drive_load(self) -> None:
            driven.append("all")

    for each in journey_tasks(make_user()):
        each(Driver())
    assert driven == ["all"] * 3


def test_locusts_filter_looks_at_what_we_rely_on() -> None:
    user_class = make_user()
    assert {frozenset(each.locust_tag_set) for each in journey_tasks(user_class)} == {
        frozenset({"read"}),
        frozenset({"write", "slow"}),
        frozenset({"read", "fast"}),
    }
    before = user_class.tasks
    filter_tasks_by_tags(user_class, {"read"}, None)
    assert user_class.tasks is not before
    assert hasattr(task(lambda self: None), "locust_task_weight")
