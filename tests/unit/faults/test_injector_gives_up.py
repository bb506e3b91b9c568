"""Undoing on a server that hangs: tried in earnest once, then no longer than it takes to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from surgeproof.errors import RollbackFailedError
from surgeproof.faults.injector import FaultInjector
from surgeproof.faults.toxiproxy import ToxiproxyServer
from surgeproof.model.plan import Fault

if TYPE_CHECKING:
    from tests.unit.faults.conftest import FakeClock, FakeGuardian, FakeToxiproxy, LoggedEvents

SLOW = Fault("pg-slow", "graph-pg", "latency", 10.0, 5.0, {"latency": 100})


@pytest.fixture
def injector(
    server: ToxiproxyServer, events: LoggedEvents, guardian: FakeGuardian, clock: FakeClock
) -> FaultInjector:
    return FaultInjector(server, "20230705T120000Z-launch-day-a1b2c3", events, guardian, clock)


@pytest.fixture
def hang(api: FakeToxiproxy) -> Callable[[], None]:
    """Let the server answer nothing any more."""

    def begin() -> None:
        stops = {}
        for method in ("DELETE", "GET"):
            api.time_out(method, obey=False)
            stops[method] = api.before
        api.before = lambda method, path: stops[method](method, path) if method in stops else None

    return begin


def test_a_server_that_still_hangs_is_not_asked_again_to_undo(
    injector: FaultInjector, hang: Callable[[], None], order: list[str]
) -> None:
    injector.apply(SLOW)
    hang()
    with pytest.raises(RollbackFailedError):
        injector.undo("pg-slow")
    tried = sum(line.startswith("call DELETE") for line in order)
    with pytest.raises(RollbackFailedError, match="'pg-slow' could not be undone: toxiproxy is"):
        injector.undo_all()
    assert sum(line.startswith("call DELETE") for line in order) == tried == 2
    assert injector.active() == ("pg-slow",)


def test_a_server_that_answers_again_is_asked_to_undo(
    injector: FaultInjector, api: FakeToxiproxy, hang: Callable[[], None]
) -> None:
    injector.apply(SLOW)
    hang()
    with pytest.raises(RollbackFailedError):
        injector.undo("pg-slow")
    api.before = lambda method, path: None
    injector.undo_all()
    assert injector.active() == ()
    assert injector.records()[0].verified
