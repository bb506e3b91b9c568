"""The injector: the order of journal, guardian and call, and what happens when one fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from surgeproof.errors import (
    EnvironmentNotReadyError,
    FaultIndefiniteError,
    FaultRejectedError,
    RollbackFailedError,
)
from surgeproof.faults.injector import FaultInjector
from surgeproof.faults.toxiproxy import ToxiproxyServer
from surgeproof.faults.transport import Answer
from surgeproof.journal.events import read_events
from surgeproof.model.plan import Fault

if TYPE_CHECKING:
    from tests.unit.faults.conftest import FakeClock, FakeGuardian, FakeToxiproxy, LoggedEvents

RUN = "20230705T120000Z-launch-day-a1b2c3"
SLOW = Fault("pg-slow", "graph-pg", "latency", 10.0, 5.0, {"latency": 100})
DOWN = Fault("redis-down", "feed-timeline", "down", 20.0, 5.0, {})
TOXICS = "/proxies/graph-pg/toxics"


class Observer:
    """Answers from a list."""

    def __init__(self, *answers: bool | None) -> None:
        self.answers = list(answers)

    def observe(self, fault: Fault, listen: str) -> bool | None:
        return self.answers.pop(0)


@pytest.fixture
def injector(
    server: ToxiproxyServer, events: LoggedEvents, guardian: FakeGuardian, clock: FakeClock
) -> FaultInjector:
    return FaultInjector(server, RUN, events, guardian, clock)


def test_the_intent_is_on_disk_and_with_the_guardian_before_the_call(
    injector: FaultInjector, order: list[str]
) -> None:
    injector.apply(SLOW)
    injector.undo("pg-slow")
    assert order == [
        "event fault.intent",
        "guardian intent a1b2c3.1",
        f"call POST {TOXICS}",
        "event fault.applied",
        f"call DELETE {TOXICS}/a1b2c3.1",
        "event fault.undone",
        "event fault.verified",
        "guardian undone a1b2c3.1",
    ]


def test_the_journalled_intent_holds_the_undoing_call(
    injector: FaultInjector, guardian: FakeGuardian, tmp_path: Path
) -> None:
    injector.apply(SLOW)
    intent = next(iter(read_events(tmp_path / "events.jsonl")))
    url = f"http://127.0.0.1:8474{TOXICS}/a1b2c3.1"
    assert intent.fields["undo"] == {
        "method": "DELETE",
        "url": url,
        "ok": [204, 404],
        "check": {"url": url, "status": [404]},
    }
    assert intent.fields["attributes"] == {"latency": 100}
    assert guardian.open == {"a1b2c3.1": intent.fields["undo"]}


def test_down_disables_the_proxy_and_its_undo_enables_it(
    injector: FaultInjector, guardian: FakeGuardian, api: FakeToxiproxy
) -> None:
    with injector.injected(DOWN):
        assert not api.proxies["feed-timeline"]["enabled"]
        (undo,) = guardian.open.values()
        assert undo["method"] == "PATCH"
        assert undo["body"] == {"enabled": True}
    assert api.proxies["feed-timeline"]["enabled"]
    assert guardian.open == {}


def test_a_record_has_the_acknowledged_times(injector: FaultInjector, clock: FakeClock) -> None:
    clock.now_s = 1010.25
    injector.apply(SLOW)
    clock.now_s = 1015.5
    injector.undo("pg-slow")
    (record,) = injector.records()
    assert (record.planned_at_s, record.applied_at_s, record.cleared_at_s) == (10.0, 10.25, 15.5)
    assert record.verified
    assert record.observed is None
    assert record.window is not None
    assert record.window.name == "fault:pg-slow"


def test_planned_faults_that_were_never_tried_are_recorded_without_times(
    injector: FaultInjector,
) -> None:
    injector.apply(DOWN)
    first, second = injector.records([SLOW, DOWN])
    assert (first.name, first.applied_at_s, first.verified) == ("pg-slow", None, False)
    assert second.name == "redis-down"


def test_no_fault_is_applied_without_a_guardian(
    injector: FaultInjector, guardian: FakeGuardian, order: list[str]
) -> None:
    guardian.refuse = EnvironmentNotReadyError("gone")
    with pytest.raises(EnvironmentNotReadyError):
        injector.apply(SLOW)
    assert not any(step.startswith("call") for step in order)
    assert injector.active() == ()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param(
            replace(SLOW, edge="graph-pq"), "accepted: feed-timeline, graph-pg", id="edge"
        ),
        pytest.param(replace(SLOW, attributes={}), "needs latency", id="attribute missing"),
        pytest.param(replace(SLOW, toxicity=2.0), "toxicity", id="toxicity"),
    ],
)
def test_an_invalid_fault_leaves_no_trace(
    injector: FaultInjector, order: list[str], fault: Fault, words: str
) -> None:
    with pytest.raises(FaultRejectedError, match=words):
        injector.apply(fault)
    assert order == []
    assert injector.records() == ()


def test_a_proxy_that_is_down_already_is_not_taken_over(
    injector: FaultInjector, api: FakeToxiproxy, order: list[str]
) -> None:
    api.proxies["feed-timeline"]["enabled"] = False
    with pytest.raises(FaultRejectedError, match="down already"):
        injector.apply(DOWN)
    assert order == []


def test_a_fault_that_is_on_cannot_be_applied_again(injector: FaultInjector) -> None:
    injector.apply(SLOW)
    with pytest.raises(FaultRejectedError, match="applied already"):
        injector.apply(SLOW)
    assert injector.active() == ("pg-slow",)


def test_a_refused_fault_is_journalled_and_forgotten(
    injector: FaultInjector, guardian: FakeGuardian, api: FakeToxiproxy, order: list[str]
) -> None:
    api.before = lambda method, path: (
        Answer(400, {"error": "invalid toxic type"}, "") if method == "POST" else None
    )
    with pytest.raises(FaultRejectedError, match="invalid toxic type"):
        injector.apply(SLOW)
    assert order[-2:] == ["event fault.failed", "guardian undone a1b2c3.1"]
    assert guardian.open == {}
    (record,) = injector.records()
    assert record.applied_at_s is None
    assert "invalid toxic type" in record.detail


def test_a_fault_whose_outcome_is_unknown_is_undone_at_once(
    injector: FaultInjector, guardian: FakeGuardian, api: FakeToxiproxy, order: list[str]
) -> None:
    api.time_out("POST", obey=False)
    with pytest.raises(FaultIndefiniteError):
        injector.apply(SLOW)
    assert f"call DELETE {TOXICS}/a1b2c3.1" in order
    assert order[-2:] == ["event fault.verified", "guardian undone a1b2c3.1"]
    assert guardian.open == {}
    assert injector.active() == ()
    assert injector.records()[0].applied_at_s is None


def test_a_removal_that_hangs_once_is_tried_again(
    injector: FaultInjector, api: FakeToxiproxy, clock: FakeClock
) -> None:
    injector.apply(SLOW)
    api.time_out("DELETE", obey=False)
    hang = api.before
    hung: list[str] = []

    def once(method: str, path: str) -> Answer | None:
        if method == "DELETE" and not hung:
            hung.append(path)
            return hang(method, path)
        return None

    api.before = once
    injector.undo("pg-slow")
    assert clock.slept_s == [1.0]
    assert injector.records()[0].verified


def test_a_fault_that_cannot_be_undone_stays_with_the_guardian(
    injector: FaultInjector, guardian: FakeGuardian, api: FakeToxiproxy, order: list[str]
) -> None:
    injector.apply(SLOW)
    api.time_out("DELETE", obey=False)
    with pytest.raises(RollbackFailedError, match="'pg-slow' could not be undone"):
        injector.undo("pg-slow")
    assert list(guardian.open) == ["a1b2c3.1"]
    assert order[-1] == "event fault.failed"
    assert injector.active() == ("pg-slow",)
    assert injector.records()[0].verified is False


def test_everything_is_undone_newest_first_even_after_a_failure(
    injector: FaultInjector, api: FakeToxiproxy
) -> None:
    injector.apply(DOWN)
    injector.apply(SLOW)
    api.time_out("DELETE", obey=False)
    with pytest.raises(RollbackFailedError, match="pg-slow"):
        injector.undo_all()
    assert api.proxies["feed-timeline"]["enabled"] is True
    assert injector.active() == ("pg-slow",)
    api.before = lambda method, path: None
    injector.undo_all()
    assert injector.active() == ()


def test_a_fault_is_undone_when_its_block_raises(
    injector: FaultInjector, api: FakeToxiproxy
) -> None:
    def broken_block() -> None:
        with injector.injected(SLOW):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_block()
    assert api.proxies["graph-pg"]["toxics"] == []


def test_a_toxic_that_somebody_else_removed_is_said_so(
    injector: FaultInjector, api: FakeToxiproxy
) -> None:
    injector.apply(SLOW)
    api.proxies["graph-pg"]["toxics"].clear()
    injector.undo("pg-slow")
    assert "somebody else" in injector.records()[0].detail
    assert injector.records()[0].verified


@pytest.mark.parametrize(
    ("answers", "observed"),
    [
        pytest.param((False, True), True, id="seen once is seen"),
        pytest.param((False, False), False, id="never seen"),
        pytest.param((None, None), None, id="cannot be told"),
        pytest.param((False, None), False, id="the last look tells nothing"),
    ],
)
def test_looks_at_the_effect_add_up(
    server: ToxiproxyServer,
    events: LoggedEvents,
    guardian: FakeGuardian,
    clock: FakeClock,
    answers: tuple[bool | None, ...],
    observed: bool | None,
) -> None:
    observer = Observer(*answers)
    injector = FaultInjector(server, RUN, events, guardian, clock, observer=observer)
    injector.apply(SLOW)
    injector.look()
    injector.undo("pg-slow")
    assert injector.records()[0].observed is observed
