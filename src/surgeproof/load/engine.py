"""The open-loop engine: starts every arrival at its moment, whatever became of those before.

It runs on an event loop of its own, usually in a thread of its own, and knows nothing of Locust:
what it drives is a `Scenario`, what it fills is a `Recorder`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import uvloop
from numpy.typing import NDArray

from surgeproof.load.alarm import make_alarm
from surgeproof.load.client import Client, ClientSettings
from surgeproof.load.declared import DeclaredRequest
from surgeproof.load.handover import LoadOrder, ready_file, start_file
from surgeproof.load.http import Origin, RequestEncoder, Transport
from surgeproof.load.http.decoding import ACCEPTED_CODINGS
from surgeproof.load.http.origin import tls_context
from surgeproof.load.journeys import Journey
from surgeproof.load.pending import Pending
from surgeproof.load.recorder import LedgerRow, Recorder
from surgeproof.load.runners import JourneyRunner, RequestRunner, Runner
from surgeproof.load.schedule import Schedule

__all__ = ["PROBE_S", "Engine", "EngineSetup", "Ledger", "Scenario", "StartSignal", "connected"]

# How often the loop's own lag is measured; a stall of half a second cannot hide between two.
PROBE_S = 0.02
# How often the start file is looked for, and how soon a run by hand begins once prepared.
_LOOK_S = 0.01
_LEAD_S = 0.05
# What arrivals under way are given to end when the run is stopped from outside (it has 3 s).
_STOP_GRACE_S = 1.0
# Complaints of journeys that are kept: each kind shows early, and the rest would fill the memory.
_MOST_COMPLAINTS = 1000


class Scenario(Protocol):
    """What an engine drives: a user object with a client, a ledger and something to prepare."""

    client: Client
    ledger: Ledger

    async def prepare(self) -> None:
        """Do once, before the run's start, what journeys need (log users in, say)."""
        ...


class StartSignal(Protocol):
    """How an engine and whoever directs it agree on the start, and by whom its slots are dealt."""

    @property
    def t0(self) -> float | None:
        """When the run begins, in seconds on CLOCK_MONOTONIC; None until that is known."""
        ...

    def say_prepared(self) -> None:
        """Take note that the scenario is prepared; called from the engine's thread."""
        ...


class Ledger:
    """Where journeys note their writes, to be read back after the run."""

    def __init__(
        self, recorder: Recorder, kinds: tuple[str, ...], now: Callable[[], float]
    ) -> None:
        self._recorder, self._kinds, self._now = recorder, kinds, now

    def write(self, kind: str, key: str, outcome: str) -> None:
        """Note a write: ``ok`` acknowledged, ``fail`` surely not done, ``info`` unknown.

        Raises:
            ValueError: the outcome is none of these, or the plan's ledger lacks the kind.
        """
        if outcome not in {"ok", "fail", "info"}:
            raise ValueError(f"ledger outcome {outcome!r}; accepted: ok, fail, info")
        if self._kinds and kind not in self._kinds:
            raise ValueError(f"ledger kind {kind!r} is not in the plan: {', '.join(self._kinds)}")
        self._recorder.ledger.append(LedgerRow(self._now(), kind, key, outcome))


@dataclass(frozen=True, slots=True)
class Connected:
    """What sends requests to a target while `connected` lasts."""

    transport: Transport
    encoder: RequestEncoder


@contextlib.asynccontextmanager
async def connected(
    order: LoadOrder,
    scenario: Scenario,
    headers: Mapping[str, str],
    recorder: Recorder | None = None,
) -> AsyncIterator[Connected]:
    """Give a scenario its client, connected to the order's target, for a while.

    Raises:
        SurgeproofError: the base URL or the CA bundle cannot be used.
    """
    origin = Origin.parse(order.base_url)
    transport = Transport(
        origin,
        asyncio.get_running_loop(),
        connections=order.connections,
        limits=order.timeouts,
        tls=tls_context(order.ca_bundle) if origin.is_tls else None,
    )
    # As browsers and most clients ask, so that the target does what it will have to do.
    encoder = RequestEncoder(origin, {"Accept-Encoding": ACCEPTED_CODINGS, **headers})
    settings = ClientSettings(order.timeouts, names_by_journey=order.load.unit == "request")
    scenario.client = Client(transport, encoder, settings, recorder or Recorder())
    try:
        yield Connected(transport, encoder)
    finally:
        transport.close()


@dataclass(frozen=True, slots=True)
class EngineSetup:
    """What an engine needs besides the order; ``slots`` are the places that are its own to send.

    Without ``slots`` the whole schedule is.
    """

    schedule: Schedule
    journeys: Mapping[str, Journey | DeclaredRequest]
    headers: Mapping[str, str]
    slots: NDArray[np.int64] | None = None


class Engine:
    """One run of one scenario. `run` blocks its thread; all else may be called from any other.

    After `run` every arrival of the engine's slots is either sent or dropped, unless it was
    stopped before the end: then that holds for the arrivals due by then.
    """

    def __init__(
        self,
        order: LoadOrder,
        setup: EngineSetup,
        scenario: Scenario,
        recorder: Recorder,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        director: StartSignal | None = None,
    ) -> None:
        self._order, self._setup, self._director = order, setup, director
        self._scenario, self._recorder, self._monotonic = scenario, recorder, monotonic
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._pending = Pending(setup.schedule, setup.slots)
        self._runners: list[Runner] = []
        self._tick: Callable[[], None] | None = None
        self._stop_asked = False
        self.t0: float | None = None
        self.timer = ""
        self.is_done = False
        self.journey_errors: list[str] = []

    @property
    def due(self) -> int:
        """How many arrivals the engine has taken from the schedule so far."""
        return self._pending.taken

    def run(self) -> None:
        """Prepare, wait for the start, drive the schedule to its end, wait for what is under way.

        Raises:
            Exception: whatever ``prepare`` raises; nothing has been sent by the schedule then.
        """
        loop = self._loop = uvloop.new_event_loop()
        try:
            self._main = loop.create_task(self._drive(loop))
            if self._stop_asked:
                self._main.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(self._main)
        finally:
            self.is_done = True
            self._loop = None
            # What failed may have left others of its kind under way; closed over, each of them
            # would complain at length, after the one message that matters.
            loop.run_until_complete(_cancel_all(loop))
            loop.close()

    def stop(self) -> None:
        """Stop sending; `run` returns within about a second."""
        self._stop_asked = True
        loop, main = self._loop, self._main
        if loop is not None and main is not None:
            with contextlib.suppress(RuntimeError):  # the loop may close right now
                loop.call_soon_threadsafe(main.cancel)

    def add(self, slots: NDArray[np.int64]) -> None:
        """Send these slots too, each at its moment, or at once if that has passed.

        None of them may have been given before. Returns before it is done.
        """
        self._change(lambda: self._pending.add(slots))

    def cut(self, from_s: float) -> None:
        """Start nothing intended at ``from_s`` or later; returns before it is done."""
        self._change(lambda: self._pending.cut(from_s))

    def _change(self, change: Callable[[], None]) -> None:
        """Change what is pending on the engine's loop, to which it belongs."""
        loop = self._loop
        if loop is None:
            change()
            return

        def change_and_look() -> None:
            change()
            if self._tick is not None:
                self._tick()

        with contextlib.suppress(RuntimeError):  # the loop may close right now
            loop.call_soon_threadsafe(change_and_look)

    async def _drive(self, loop: asyncio.AbstractEventLoop) -> None:
        order, scenario, recorder = self._order, self._scenario, self._recorder
        async with connected(order, scenario, self._setup.headers, recorder) as link:
            scenario.ledger = Ledger(recorder, order.ledger_kinds, self._now)
            probe = loop.create_task(self._probe(link.transport))
            try:
                await scenario.prepare()
                # Built once before the start, so that a request that cannot be sent is told then.
                wires = self._wires(link.encoder)
                self.t0 = scenario.client.t0 = await self._agree_on_start()
                self._runners = [
                    self._runner(loop, link.transport, name, wires)
                    for name in self._setup.schedule.journeys
                ]
                await self._follow_schedule(loop)
                await self._settle(order.timeouts.total_s, link.transport)
            except asyncio.CancelledError:
                await self._settle(_STOP_GRACE_S, link.transport)
                raise
            finally:
                probe.cancel()
                recorder.queued = 0

    def _now(self) -> float:
        return self._monotonic() - (self.t0 or 0.0)

    def _wires(self, encoder: RequestEncoder) -> Mapping[str, tuple[bytes, ...]]:
        declared = self._setup.journeys.items()
        return {
            name: each.encode(self._scenario, encoder)
            for name, each in declared
            if isinstance(each, DeclaredRequest)
        }

    def _runner(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: Transport,
        name: str,
        wires: Mapping[str, tuple[bytes, ...]],
    ) -> Runner:
        journey = self._setup.journeys[name]
        if isinstance(journey, DeclaredRequest):
            client = self._scenario.client
            return RequestRunner(journey, wires[name], transport, client, self._recorder)
        return JourneyRunner(
            loop,
            journey,
            self._scenario,
            recorder=self._recorder,
            seed=self._order.seed,
            complain=self._complain,
        )

    def _complain(self, message: str) -> None:
        if len(self.journey_errors) < _MOST_COMPLAINTS:
            self.journey_errors.append(message)

    async def _agree_on_start(self) -> float:
        """Say that all is prepared; return the run's t0, which may lie a moment ahead."""
        order, director = self._order, self._director
        if director is not None:
            director.say_prepared()
            # It is another thread's answer: there is no event of this loop to wait for.
            while (told := director.t0) is None:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
            return told
        if order.samples is not None:
            _write_ready(ready_file(order.samples, order.generator))
        if order.t0 is not None:
            return order.t0
        if order.samples is None:
            return self._monotonic() + _LEAD_S
        path = start_file(order.samples)
        # Another process writes the file, so there is no event of ours to wait for.
        while (t0 := _read_start(path)) is None:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        return t0

    async def _follow_schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        finished = loop.create_future()
        t0 = self.t0 or 0.0
        pending, runners, recorder = self._pending, self._runners, self._recorder
        most, monotonic = self._order.max_in_flight, self._monotonic
        # Somebody else's slots may become this engine's until the last moment.
        open_until_s = 0.0 if self._director is None else self._setup.schedule.duration_s

        def tick() -> None:
            for slot, moment, journey, phase in pending.take(monotonic() - t0):
                if recorder.in_flight >= most:
                    recorder.dropped += 1
                    recorder.drops.append(slot)
                else:
                    runners[journey].start(slot, t0 + moment, phase)
            following = pending.next_s
            if following is not None:
                alarm.set(t0 + following)
            elif monotonic() - t0 < open_until_s:
                alarm.set(t0 + open_until_s)
            elif not finished.done():
                finished.set_result(None)

        alarm = make_alarm(loop, tick, monotonic)
        self.timer = alarm.name
        try:
            self._tick = tick
            tick()
            await finished
        finally:
            self._tick = None
            alarm.close()

    async def _settle(self, patience_s: float, transport: Transport) -> None:
        """Wait for arrivals under way, then cut off the rest: their requests stay unfinished."""
        await asyncio.gather(*(each.settle(patience_s, _STOP_GRACE_S) for each in self._runners))
        transport.pool.cut_off()

    async def _probe(self, transport: Transport) -> None:
        """Measure how late the loop wakes: what holds it up holds up every arrival."""
        while True:
            due = self._monotonic() + PROBE_S
            await asyncio.sleep(PROBE_S)
            self._recorder.beat_s = now = self._monotonic()
            if self.t0 is not None:
                self._recorder.loop_lags.append(max(0.0, now - due))
            self._recorder.queued = transport.queued
            self._recorder.waited = transport.pool.waited


async def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    others = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _write_ready(path: Path) -> None:
    path.write_text("", encoding="utf-8")


def _read_start(path: Path) -> float | None:
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["t0"])
    except FileNotFoundError:
        return None
