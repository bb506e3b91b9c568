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

import uvloop

from surgeproof.load.alarm import make_alarm
from surgeproof.load.client import Client, ClientSettings
from surgeproof.load.handover import LoadOrder, ready_file, start_file
from surgeproof.load.http import Origin, Transport
from surgeproof.load.http.origin import tls_context
from surgeproof.load.journeys import CURRENT_ARRIVAL, Arrival, Journey
from surgeproof.load.recorder import DropRow, LedgerRow, Recorder
from surgeproof.load.schedule import Schedule

__all__ = ["Engine", "EngineSetup", "Ledger", "Scenario", "connected"]

# How often the loop's own lag is measured; a stall of half a second cannot hide between two.
_PROBE_S = 0.02
# How often the start file is looked for, and how soon a run by hand begins once prepared.
_LOOK_S = 0.01
_LEAD_S = 0.05
# What arrivals under way are given to end when the run is stopped from outside (it has 3 s).
_STOP_GRACE_S = 1.0


class Scenario(Protocol):
    """What an engine drives: a user object with a client, a ledger and something to prepare."""

    client: Client
    ledger: Ledger

    async def prepare(self) -> None:
        """Do once, before the run's start, what journeys need (log users in, say)."""
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


@contextlib.asynccontextmanager
async def connected(
    order: LoadOrder,
    scenario: Scenario,
    headers: Mapping[str, str],
    recorder: Recorder | None = None,
) -> AsyncIterator[Transport]:
    """Give a scenario its client, connected to the order's target, for a while.

    Raises:
        SurgeproofError: the base URL or the CA bundle cannot be used.
    """
    origin = Origin.parse(order.base_url)
    transport = Transport(
        origin,
        asyncio.get_running_loop(),
        connections=order.connections,
        tls=tls_context(order.ca_bundle) if origin.is_tls else None,
    )
    settings = ClientSettings(
        generator=order.generator,
        headers=headers,
        tiers=order.tiers,
        request_timeout_s=order.request_timeout_s,
        late_after_s=order.load.late_after_s,
        names_by_journey=order.load.unit == "request",
    )
    scenario.client = Client(transport, settings, recorder or Recorder())
    try:
        yield transport
    finally:
        transport.close()


@dataclass(frozen=True, slots=True)
class EngineSetup:
    """What an engine needs besides the order."""

    schedule: Schedule
    journeys: Mapping[str, Journey]
    headers: Mapping[str, str]


class Engine:
    """One run of one scenario. `run` blocks its thread; `stop` may be called from any other.

    After `run` every arrival of the schedule is either sent or dropped, unless it was stopped
    before the end: then that holds for the arrivals due by then.
    """

    def __init__(
        self,
        order: LoadOrder,
        setup: EngineSetup,
        scenario: Scenario,
        recorder: Recorder,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._order, self._setup = order, setup
        self._scenario, self._recorder, self._monotonic = scenario, recorder, monotonic
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = 0
        self._stop_asked = False
        self.t0: float | None = None
        self.is_done = False
        self.journey_errors: list[str] = []

    @property
    def due(self) -> int:
        """How many arrivals the engine has taken from the schedule so far."""
        return self._next

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

    async def _drive(self, loop: asyncio.AbstractEventLoop) -> None:
        order, scenario, recorder = self._order, self._scenario, self._recorder
        async with connected(order, scenario, self._setup.headers, recorder) as transport:
            scenario.ledger = Ledger(recorder, order.ledger_kinds, self._now)
            probe = loop.create_task(self._probe(transport))
            try:
                await scenario.prepare()
                self.t0 = scenario.client.t0 = await self._agree_on_start()
                await self._follow_schedule(loop)
                await self._settle(order.request_timeout_s)
            except asyncio.CancelledError:
                await self._settle(_STOP_GRACE_S)
                raise
            finally:
                probe.cancel()
                recorder.queued = 0

    def _now(self) -> float:
        return self._monotonic() - (self.t0 or 0.0)

    async def _agree_on_start(self) -> float:
        """Say that all is prepared; return the run's t0, which may lie a moment ahead."""
        order = self._order
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
        moments = (self._setup.schedule.times_s + (self.t0 or 0.0)).tolist()

        def tick() -> None:
            now = self._monotonic()
            while self._next < len(moments) and moments[self._next] <= now:
                index, self._next = self._next, self._next + 1
                self._start(loop, index, moments[index])
            if self._next < len(moments):
                alarm.set(moments[self._next])
            elif not finished.done():
                finished.set_result(None)

        alarm = make_alarm(loop, tick, self._monotonic)
        try:
            tick()
            await finished
        finally:
            alarm.close()

    def _start(self, loop: asyncio.AbstractEventLoop, index: int, intended: float) -> None:
        schedule = self._setup.schedule
        name = schedule.journeys[schedule.journey_index[index]]
        phase = schedule.phases[schedule.phase_index[index]].name
        arrival = Arrival(index, intended, phase, name, self._order.seed)
        if len(self._tasks) >= self._order.max_in_flight:
            self._drop(arrival, intended)
            return
        task = loop.create_task(self._travel(arrival, intended, self._setup.journeys[name]))
        self._tasks.add(task)
        self._recorder.in_flight = len(self._tasks)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._recorder.in_flight = len(self._tasks)

    async def _travel(self, arrival: Arrival, intended: float, journey: Journey) -> None:
        CURRENT_ARRIVAL.set(arrival)
        try:
            await journey.run(self._scenario)
        except asyncio.CancelledError:
            return
        except Exception as error:  # noqa: BLE001 - the border to the scenario's code
            self.journey_errors.append(f"journey {journey.name!r} raised {error!r}")
        finally:
            if arrival.was_sent:
                self._recorder.completed += 1
            else:
                self._drop(arrival, intended)

    def _drop(self, arrival: Arrival, intended: float) -> None:
        name = arrival.journey
        self._recorder.dropped += 1
        self._recorder.drops.append(
            DropRow(
                intended - (self.t0 or 0.0), name, self._order.tiers.get(name, ""), arrival.phase
            )
        )

    async def _settle(self, patience_s: float) -> None:
        """Wait for arrivals under way, then cancel the rest: their requests stay unfinished."""
        if not self._tasks:
            return
        _, pending = await asyncio.wait(self._tasks, timeout=patience_s)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=_STOP_GRACE_S)

    async def _probe(self, transport: Transport) -> None:
        """Measure how late the loop wakes: what holds it up holds up every arrival."""
        while True:
            due = self._monotonic() + _PROBE_S
            await asyncio.sleep(_PROBE_S)
            if self.t0 is not None:
                self._recorder.loop_lags.append(max(0.0, self._monotonic() - due))
            self._recorder.queued = transport.queued


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
