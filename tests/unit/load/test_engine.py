"""The engine's accounting, on a real loop but without network: all arrivals are overdue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from surgeproof.load.client import Client
from surgeproof.load.engine import Engine, EngineSetup, Ledger
from surgeproof.load.handover import LoadOrder, ready_file, write_start
from surgeproof.load.http import Attempt, RawResponse
from surgeproof.load.journeys import journey, journeys_of
from surgeproof.load.recorder import Recorder
from surgeproof.load.schedule import build_schedule
from surgeproof.model.plan import ArrivalPart, Load, Timeouts

MakeLoad = Callable[..., Load]


class InstantCall(Attempt):
    @property
    async def answer(self) -> RawResponse:
        return RawResponse(200, [], b"", can_keep_alive=True)

    def abandon(self) -> None: ...


class InstantSender:
    def begin(self, _data: bytes, **_options: object) -> InstantCall:
        call = InstantCall()
        call.start = call.end = time.monotonic()
        return call


class Scenario:
    client: Client
    ledger: Ledger

    def __init__(self) -> None:
        self.draws: list[float] = []

    async def prepare(self) -> None:
        self.client._sender = InstantSender()

    @journey("sends")
    async def sends(self) -> None:
        await self.client.get("/")
        self.ledger.write("post", "key", "ok")

    @journey("forgets")
    async def forgets(self) -> None:
        """Send nothing at all."""

    @journey("raises")
    async def raises(self) -> None:
        raise KeyError("oops")

    @journey("hangs")
    async def hangs(self) -> None:
        await self.client.get("/")
        await asyncio.get_running_loop().create_future()


# What of an engine's settings is its load's, all else being the order's.
BOUNDS = {"connections", "max_in_flight", "timeouts"}


@pytest.fixture
def make_engine(make_load: MakeLoad) -> Callable[..., tuple[Engine, Recorder]]:
    def make(name: str, **changes: object) -> tuple[Engine, Recorder]:
        part = ArrivalPart("constant", {"rate": 50})
        load = make_load(("one", 2, [part]), mixes={"default": {name: 1.0}})
        load = replace(load, **{key: changes.pop(key) for key in BOUNDS & changes.keys()})  # type: ignore[arg-type]
        order = LoadOrder(seed=1, base_url="http://127.0.0.1:1", load=load, t0=0.0)
        order = replace(order, **changes)  # type: ignore[arg-type]
        setup = EngineSetup(build_schedule(load, 1), journeys_of(Scenario), {})
        recorder = Recorder()
        return Engine(order, setup, Scenario(), recorder), recorder

    return make


def test_every_overdue_arrival_is_sent_at_once_and_counted_late(
    make_engine: Callable[..., tuple[Engine, Recorder]],
) -> None:
    engine, recorder = make_engine("sends")
    engine.run()
    rows = recorder.take()
    assert (engine.due, recorder.sent, recorder.completed, recorder.dropped) == (100, 100, 100, 0)
    assert recorder.late == 100
    assert len(rows) == len(recorder.ledger) == 100
    assert sorted(rows["session"].tolist()) == list(range(100))


def test_arrivals_beyond_the_bound_are_dropped_and_none_is_lost(
    make_engine: Callable[..., tuple[Engine, Recorder]],
) -> None:
    engine, recorder = make_engine("sends", max_in_flight=30)
    engine.run()
    sent, dropped = recorder.take()["session"].tolist(), recorder.take_drops().tolist()
    assert (recorder.sent, recorder.dropped, len(dropped)) == (30, 70, 70)
    assert sorted([*sent, *dropped]) == list(range(100))
    assert recorder.in_flight == 0


@pytest.mark.parametrize("name", ["forgets", "raises"])
def test_a_journey_that_sends_nothing_is_a_dropped_arrival(
    make_engine: Callable[..., tuple[Engine, Recorder]], name: str
) -> None:
    engine, recorder = make_engine(name)
    engine.run()
    assert not len(recorder.take())
    assert (recorder.sent, recorder.dropped) == (0, 100)


def test_a_journey_that_raises_is_reported_and_stops_no_other(
    make_engine: Callable[..., tuple[Engine, Recorder]],
) -> None:
    engine, _ = make_engine("raises")
    engine.run()
    assert len(engine.journey_errors) == 100
    assert engine.journey_errors[0] == "journey 'raises' raised KeyError('oops')"


def test_arrivals_that_never_end_are_cut_off_after_the_timeout(
    make_engine: Callable[..., tuple[Engine, Recorder]],
) -> None:
    engine, recorder = make_engine("hangs", timeouts=Timeouts(total_s=0.05))
    engine.run()
    assert engine.is_done
    assert (len(recorder.take()), recorder.in_flight) == (100, 0)


def test_a_stop_before_the_start_sends_nothing(
    make_engine: Callable[..., tuple[Engine, Recorder]],
) -> None:
    engine, recorder = make_engine("sends")
    engine.stop()
    engine.run()
    assert (engine.due, recorder.sent, recorder.dropped) == (0, 0, 0)


def test_an_engine_under_an_order_says_ready_and_takes_t0_from_the_start_file(
    make_engine: Callable[..., tuple[Engine, Recorder]], tmp_path: Path
) -> None:
    write_start(tmp_path, 12.5)
    engine, _ = make_engine("sends", t0=None, samples=tmp_path, generator=4)
    engine.run()
    assert engine.t0 == 12.5
    assert ready_file(tmp_path, 4).exists()


def test_a_failed_preparation_is_raised_and_nothing_is_sent(
    make_engine: Callable[..., tuple[Engine, Recorder]],
) -> None:
    engine, recorder = make_engine("sends")

    async def fail() -> None:
        raise RuntimeError("no login")

    engine._scenario.prepare = fail  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="no login"):
        engine.run()
    assert recorder.sent == 0


def test_a_failed_preparation_leaves_nothing_of_it_under_way(
    make_engine: Callable[..., tuple[Engine, Recorder]],
) -> None:
    engine, _ = make_engine("sends")
    ended = []

    async def wait() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("waited")

    async def fail() -> None:
        raise RuntimeError("no login")

    async def prepare() -> None:
        await asyncio.gather(wait(), wait(), fail())

    engine._scenario.prepare = prepare  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="no login"):
        engine.run()
    assert ended == ["waited", "waited"]


@pytest.mark.parametrize(
    ("kind", "outcome", "message"),
    [("post", "maybe", "accepted: ok, fail, info"), ("like", "ok", "not in the plan: post")],
)
def test_the_ledger_takes_only_what_the_plan_reads_back(
    kind: str, outcome: str, message: str
) -> None:
    recorder = Recorder()
    ledger = Ledger(recorder, ("post",), lambda: 1.0)
    with pytest.raises(ValueError, match=message):
        ledger.write(kind, "key", outcome)
    assert not recorder.ledger
