"""Each kind of fault has its effect on real connections, and undoing it ends the effect."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from surgeproof.clock import SystemClock
from surgeproof.errors import (
    EnvironmentNotReadyError,
    FaultIndefiniteError,
    FaultRejectedError,
    RollbackFailedError,
)
from surgeproof.faults.effect import ConnectionObserver
from surgeproof.faults.guardian import Guardian, GuardianLink
from surgeproof.faults.injector import FaultInjector
from surgeproof.faults.kinds import FAULT_KINDS
from surgeproof.faults.schedule import run_faults
from surgeproof.faults.toxiproxy import EdgeProxy, ServerHealth, ToxiproxyServer
from surgeproof.journal.events import EventLog, read_events
from surgeproof.model.plan import Fault

if TYPE_CHECKING:
    from tests.integration.faults.conftest import Dial, EchoServer, RealToxiproxy, Toxiproxies

pytestmark = pytest.mark.integration

# A loaded machine delays everything: only lower bounds of delays are exact, and an undelayed
# round trip is told from a delayed one by a wide margin.
PROMPT_S = 0.25
SILENCE_S = 0.4


@pytest.fixture
def guardian(tmp_path: Path) -> Iterator[GuardianLink]:
    with Guardian.start(tmp_path) as link:
        yield link


@pytest.fixture
def events(tmp_path: Path) -> Iterator[EventLog]:
    clock = SystemClock()
    with EventLog(tmp_path / "events.jsonl", clock, clock.monotonic()) as log:
        yield log


@pytest.fixture
def injector(server: ToxiproxyServer, events: EventLog, guardian: GuardianLink) -> FaultInjector:
    return FaultInjector(
        server, "run-abc123", events, guardian, SystemClock(), observer=ConnectionObserver()
    )


def fault(kind: str, **attributes: int) -> Fault:
    return Fault("f", "edge", kind, 0.0, 1.0, attributes)


def round_trip_s(connection: socket.socket, data: bytes = b"ping") -> float:
    """Send, wait for all of it to come back, return the seconds it took."""
    began = time.monotonic()
    connection.sendall(data)
    left = len(data)
    while left:
        got = connection.recv(65536)
        assert got, "the connection was closed"
        left -= len(got)
    return time.monotonic() - began


def ends_with(connection: socket.socket) -> str:
    """Return how a connection ends: ``close`` (FIN), ``reset`` (RST) or ``open``."""
    connection.settimeout(2.0)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "open"
    return "close"


def test_every_kind_has_a_test_here() -> None:
    tested = {"latency", "bandwidth", "timeout", "reset_peer", "slow_close", "slicer", "limit_data"}
    assert set(FAULT_KINDS) == tested | {"down"}


def test_latency_delays_the_answer(injector: FaultInjector, proxy: EdgeProxy, dial: Dial) -> None:
    connection = dial(proxy)
    with injector.injected(fault("latency", latency=300)):
        assert round_trip_s(connection) >= 0.3
    assert min(round_trip_s(connection) for _ in range(5)) < PROMPT_S


def test_bandwidth_limits_the_rate(injector: FaultInjector, proxy: EdgeProxy, dial: Dial) -> None:
    connection = dial(proxy)
    with injector.injected(fault("bandwidth", rate=100)):
        # 50,000 bytes at 100,000 bytes a second; the first tenth of a second is for free.
        assert round_trip_s(connection, bytes(50_000)) >= 0.3
    assert min(round_trip_s(connection, bytes(50_000)) for _ in range(5)) < PROMPT_S


def test_timeout_swallows_all_data_and_closes_at_its_end(
    injector: FaultInjector, proxy: EdgeProxy, dial: Dial
) -> None:
    connection = dial(proxy)
    with injector.injected(fault("timeout")):
        connection.sendall(b"ping")
        connection.settimeout(SILENCE_S)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert ends_with(connection) == "close"
    assert round_trip_s(dial(proxy)) >= 0


def test_reset_peer_resets_new_connections_and_closes_pooled_ones(
    injector: FaultInjector, proxy: EdgeProxy, dial: Dial
) -> None:
    pooled = dial(proxy)
    round_trip_s(pooled)
    with injector.injected(fault("reset_peer", timeout=0)):
        fresh = dial(proxy)
        fresh.sendall(b"ping")
        pooled.sendall(b"ping")
        assert ends_with(fresh) == "reset"
        assert ends_with(pooled) == "close"
    assert round_trip_s(dial(proxy)) >= 0


def test_slow_close_delays_the_end(
    injector: FaultInjector, proxy: EdgeProxy, dial: Dial, echo: EchoServer
) -> None:
    connection = dial(proxy)
    round_trip_s(connection)
    with injector.injected(fault("slow_close", delay=400)):
        began = time.monotonic()
        echo.close()
        assert ends_with(connection) == "close"
        assert time.monotonic() - began >= 0.4


def test_slicer_cuts_data_with_pauses(
    injector: FaultInjector, proxy: EdgeProxy, dial: Dial
) -> None:
    connection = dial(proxy)
    with injector.injected(fault("slicer", average_size=10, delay=10_000)):
        connection.sendall(bytes(400))
        sizes: list[int] = []
        while sum(sizes) < 400:
            sizes.append(len(connection.recv(65536)))
    # 400 bytes halve to slices of at most 10: far more reads than the one of an unsliced answer.
    assert len(sizes) >= 10


def test_limit_data_closes_after_its_bytes(
    injector: FaultInjector, proxy: EdgeProxy, dial: Dial
) -> None:
    with injector.injected(fault("limit_data", bytes=100)):
        connection = dial(proxy)
        connection.sendall(bytes(250))
        got = 0
        while data := connection.recv(65536):
            got += len(data)
        assert got == 100
    assert round_trip_s(dial(proxy), bytes(250)) >= 0


def test_down_closes_and_refuses_connections(
    injector: FaultInjector, proxy: EdgeProxy, dial: Dial
) -> None:
    pooled = dial(proxy)
    round_trip_s(pooled)
    with injector.injected(fault("down")):
        assert ends_with(pooled) == "close"
        with pytest.raises(ConnectionRefusedError):
            dial(proxy)
    assert round_trip_s(dial(proxy)) >= 0
    assert injector.records()[0].observed is True


def test_upstream_faults_hit_the_other_direction(
    injector: FaultInjector, proxy: EdgeProxy, dial: Dial
) -> None:
    both = Fault("f", "edge", "latency", 0.0, 1.0, {"latency": 200}, stream="upstream")
    with (
        injector.injected(both),
        injector.injected(Fault("g", "edge", "latency", 0.0, 1.0, {"latency": 200})),
    ):
        assert round_trip_s(dial(proxy)) >= 0.4


def test_undoing_is_verified_on_the_server(
    injector: FaultInjector, server: ToxiproxyServer, proxy: EdgeProxy
) -> None:
    injector.apply(fault("latency", latency=5))
    assert list(server.toxics("edge")) == ["abc123.1"]
    injector.undo("f")
    assert server.toxics("edge") == {}
    (record,) = injector.records()
    assert record.verified
    assert record.applied_at_s is not None
    assert record.cleared_at_s is not None
    assert record.applied_at_s < record.cleared_at_s


def test_toxics_of_others_are_left_alone(
    injector: FaultInjector, server: ToxiproxyServer, proxy: EdgeProxy
) -> None:
    server.add_toxic("edge", "latency", {"latency": 1}, name="theirs")
    injector.apply(fault("latency", latency=5))
    injector.undo_all()
    assert list(server.toxics("edge")) == ["theirs"]


def test_a_fault_on_an_edge_that_nothing_uses_is_not_observed(
    injector: FaultInjector, proxy: EdgeProxy, dial: Dial
) -> None:
    with injector.injected(fault("latency", latency=5)):
        pass
    assert injector.records()[0].observed is False
    round_trip_s(dial(proxy))
    with injector.injected(fault("latency", latency=5)):
        pass
    assert injector.records()[0].observed is True


def test_a_timetable_runs_against_the_real_server(
    injector: FaultInjector,
    server: ToxiproxyServer,
    proxy: EdgeProxy,
    events: EventLog,
    tmp_path: Path,
) -> None:
    now = events.now()
    planned = [
        Fault("slow", "edge", "latency", now + 0.1, 0.3, {"latency": 5}),
        Fault("off", "edge", "down", now + 0.2, 0.1, {}),
    ]
    run = run_faults(planned, injector, events, SystemClock(), threading.Event())
    assert run.join(20)
    assert run.problems == ()
    assert server.toxics("edge") == {}
    assert server.proxies()["edge"].enabled
    for record, fault_ in zip(injector.records(planned), planned, strict=True):
        assert record.applied_at_s is not None
        assert record.applied_at_s >= fault_.start_s
        assert record.verified
    names = [event.event for event in read_events(tmp_path / "events.jsonl")]
    assert names.count("fault.verified") == 2


def test_several_servers_do_not_know_of_each_other(
    toxiproxies: Toxiproxies, echo: EchoServer
) -> None:
    first, second = toxiproxies.start().server, toxiproxies.start().server
    first.create_proxy("a", echo.address)
    second.create_proxy("b", echo.address)
    assert list(first.proxies()) == ["a"]
    assert list(second.proxies()) == ["b"]
    assert first.version() == second.version() == "2.12.0"


def test_a_proxy_can_be_pointed_elsewhere(
    server: ToxiproxyServer, proxy: EdgeProxy, dial: Dial
) -> None:
    answer = socket.create_server(("127.0.0.1", 0))
    with answer:
        port = answer.getsockname()[1]
        moved = server.set_upstream("edge", f"127.0.0.1:{port}")
        assert moved.listen == proxy.listen
        dial(proxy)
        answer.settimeout(10)
        answer.accept()[0].close()


def test_a_port_that_is_taken_is_refused_with_the_servers_words(
    server: ToxiproxyServer, proxy: EdgeProxy
) -> None:
    with pytest.raises(FaultRejectedError, match=r"500 .*address already in use"):
        server.create_proxy("other", "127.0.0.1:1", proxy.listen)
    assert list(server.proxies()) == ["edge"]


def test_a_server_that_is_not_there_is_definite() -> None:
    with pytest.raises(EnvironmentNotReadyError, match="does not answer"):
        ToxiproxyServer("http://127.0.0.1:9").set_enabled("edge", enabled=False)


def test_a_server_that_gives_no_answer_is_indefinite() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        server = ToxiproxyServer(f"http://127.0.0.1:{port}", connect_s=0.5, read_s=0.1)
        began = time.monotonic()
        with pytest.raises(FaultIndefiniteError, match="unknown"):
            server.set_enabled("edge", enabled=False)
        assert time.monotonic() - began < 5
        assert server.health("edge") is ServerHealth.GONE


def test_a_wedged_server_is_told_from_a_dead_one_and_its_fault_stays_open(
    real: RealToxiproxy, proxy: EdgeProxy, dial: Dial, events: EventLog, guardian: GuardianLink
) -> None:
    hasty = ToxiproxyServer(real.server.api_url, read_s=0.3)
    injector = FaultInjector(hasty, "run-abc123", events, guardian, SystemClock())
    injector.apply(fault("latency", latency=0, jitter=1))
    # A client that asks for a flood and never reads: the toxic's stub cannot be interrupted.
    dial(proxy).sendall(b"flood")
    time.sleep(0.5)
    with pytest.raises(RollbackFailedError, match="'f' could not be undone"):
        injector.undo("f")
    assert hasty.health("edge") is ServerHealth.WEDGED
    assert injector.active() == ("f",)
    real.process.kill()
    real.wait_dead()
    assert hasty.health("edge") is ServerHealth.GONE
