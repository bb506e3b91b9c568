"""From request events to samples: times, outcomes, and who hears of what."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest
import requests
from gevent import getcurrent
from locust.event import EventHook
from locust.exception import CatchResponseError

from surgeproof.load.http.attempt import TransportError
from surgeproof.load.plain.accounts import Accounting, RequestAccounts
from surgeproof.load.plain.answers import error_kind_of, read_event
from surgeproof.load.plain.arrival import PlainArrival, attach, current_arrival

NOW, WALL, T0 = 1000.0, 5_000_000.0, 990.0


@dataclass
class Answer:
    """As much of a response as Locust's clients have."""

    status_code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    _content: bytes = b"{}"


def event(**changes: Any) -> dict[str, Any]:
    return {
        "request_type": "GET",
        "name": "/a",
        "response_time": 250.0,
        "response_length": 2,
        "exception": None,
        "context": {},
        "response": Answer(),
        "start_time": WALL - 1.0,
        **changes,
    }


@dataclass
class Scene:
    accounts: Any  # RequestAccounts, whose listeners Locust has not typed
    rows: list[Any]
    outside: list[str]
    heard: list[dict[str, Any]]


@pytest.fixture
def scene() -> Scene:
    rows: list[Any] = []
    outside: list[str] = []
    heard: list[dict[str, Any]] = []
    original: Any = EventHook()  # type: ignore[no-untyped-call] # Locust's
    original.add_listener(lambda **told: heard.append(told))
    accounts = RequestAccounts(
        original,
        lambda row, arrival: rows.append(row),
        lambda name, told: outside.append(name),
        monotonic=lambda: NOW,
        wall=lambda: WALL,
    )
    accounts.accounting = Accounting(3, {"GET /a": "T1"}, T0)
    return Scene(accounts, rows, outside, heard)


@pytest.fixture
def arrival() -> Iterator[PlainArrival]:
    made = PlainArrival(17, T0 + 8.5, "peak", "look", seed=7)
    here = getcurrent()
    before = getattr(here, "spawn_tree_locals", None)
    attach(here, made)
    yield made
    here.spawn_tree_locals = before


def test_response_time_counts_from_the_intended_start_in_the_journal_and_for_listeners(
    scene: Scene, arrival: PlainArrival
) -> None:
    scene.accounts.fire(**event())
    (row,) = scene.rows
    # Begun a second ago, and over a quarter of a second later; intended half a second before.
    assert (row.intended_s, row.start_s, row.end_s) == (8.5, 9.0, 9.25)
    assert (row.session, row.step, row.phase, row.tier) == (17, 1, "peak", "T1")
    (told,) = scene.heard
    assert told["response_time"] == pytest.approx(750.0)
    assert told["start_time"] == pytest.approx(WALL - 1.5)


def test_a_later_request_of_an_arrival_is_intended_when_it_is_made(
    scene: Scene, arrival: PlainArrival
) -> None:
    scene.accounts.fire(**event())
    scene.accounts.fire(**event(start_time=WALL - 0.5))
    assert (scene.rows[1].step, scene.rows[1].intended_s) == (2, 9.5)
    assert scene.heard[1]["response_time"] == pytest.approx(250.0)


def test_requests_of_no_arrival_are_neither_samples_nor_heard_of(scene: Scene) -> None:
    scene.accounts.fire(**event())
    assert (scene.rows, scene.heard, scene.outside) == ([], [], ["GET /a"])


def test_requests_of_on_start_are_not_the_arrivals_own(scene: Scene, arrival: PlainArrival) -> None:
    arrival.is_apart = True
    scene.accounts.fire(**event())
    assert not scene.rows
    assert not arrival.was_sent


def test_what_a_task_spawns_belongs_to_its_arrival() -> None:
    seen: list[PlainArrival | None] = []

    def task() -> None:
        gevent.spawn(lambda: seen.append(current_arrival())).join()

    arrivals = [PlainArrival(number, 0.0, "one", "look", seed=7) for number in range(2)]
    greenlets = [gevent.Greenlet(task) for _ in arrivals]
    for greenlet, arrival in zip(greenlets, arrivals, strict=True):
        attach(greenlet, arrival)
        greenlet.start()
    gevent.joinall(greenlets)
    assert seen == arrivals
    assert current_arrival() is None


def test_listeners_may_come_and_go_as_with_locusts_own_event(
    scene: Scene, arrival: PlainArrival
) -> None:
    late: list[str] = []
    listener = scene.accounts.add_listener(lambda name, **_: late.append(name))
    scene.accounts.fire(**event())
    scene.accounts.remove_listener(listener)
    scene.accounts.fire(**event())
    assert late == ["/a"]
    assert len(scene.heard) == 2


@pytest.mark.parametrize(
    ("changes", "outcome", "kind"),
    [
        pytest.param({}, "full", "", id="a good answer"),
        pytest.param(
            {"response": Answer(headers={"degraded": "cache"})}, "degraded", "", id="a marked one"
        ),
        pytest.param(
            {"response": Answer(_content=b'{"degraded": ["feed"]}')},
            "degraded",
            "",
            id="one that says so in its body",
        ),
        pytest.param(
            {"exception": CatchResponseError("no")}, "wrong", "check", id="a declared failure"
        ),
        pytest.param(
            {"response": Answer(404), "exception": requests.HTTPError("404")},
            "error",
            "status_404",
            id="a bad status",
        ),
        pytest.param(
            {"response": Answer(404)}, "full", "", id="a bad status that was declared a success"
        ),
        pytest.param(
            {
                "response": Answer(503, {"retry-after": "1"}),
                "exception": requests.HTTPError("503"),
            },
            "shed",
            "status_503",
            id="a refusal with a time to come back",
        ),
        pytest.param(
            {"response": Answer(0), "exception": ConnectionRefusedError(errno.ECONNREFUSED, "no")},
            "error",
            "refused",
            id="nobody listening",
        ),
        pytest.param(
            {"exception": ConnectionResetError(errno.ECONNRESET, "gone")},
            "error",
            "reset",
            id="a good head and a broken body",
        ),
        pytest.param({"response": None}, "full", "", id="another protocol"),
        pytest.param(
            {"response": None, "exception": ValueError("?")},
            "error",
            "exception",
            id="a failure of another protocol",
        ),
    ],
)
def test_outcomes_follow_the_contract(changes: dict[str, Any], outcome: str, kind: str) -> None:
    judgement = read_event(event(**changes)).judgement
    assert (judgement.outcome.value, judgement.error_kind) == (outcome, kind)


def test_the_kind_of_an_error_is_found_through_its_wrappings() -> None:
    wrapped = requests.ConnectionError("wrapped")
    wrapped.__cause__ = socket.gaierror(-2, "unknown")
    assert error_kind_of(wrapped) == "dns"
    assert error_kind_of(requests.ConnectTimeout()) == "connect_timeout"
    assert error_kind_of(requests.ReadTimeout()) == "read_timeout"
    assert error_kind_of(requests.ConnectionError(TransportError("tls"))) == "tls"


def test_a_request_cut_off_by_the_end_is_an_unfinished_sample(
    scene: Scene, arrival: PlainArrival
) -> None:
    arrival.began = T0 + 9.0
    scene.accounts.cut_off(arrival, "GET /a")
    (row,) = scene.rows
    assert (row.name, row.start_s, row.end_s, row.error_kind) == ("GET /a", 9.0, None, "unfinished")
    assert not scene.heard


def test_an_arrival_between_two_requests_has_none_to_cut_off(
    scene: Scene, arrival: PlainArrival
) -> None:
    scene.accounts.fire(**event())
    scene.accounts.cut_off(arrival, "GET /a")
    assert len(scene.rows) == 1
