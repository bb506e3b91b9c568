"""`OpenLoopUser`: a Locust user that sends by the schedule, and the run that it drives.

One instance per run owns an engine in an OS thread (from gevent's pool of real threads) with an
event loop of its own. The gevent side only drains what the engine has recorded: into the journal,
into Locust's request event (so its statistics, web UI and CSV are right) and into the pulse.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import random
import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gevent
from locust import User, task
from locust.stats import CSV_STATS_INTERVAL_SEC

from surgeproof.errors import SurgeproofError, UsageError
from surgeproof.load.client import Client
from surgeproof.load.engine import Engine, EngineSetup, Ledger
from surgeproof.load.handover import ORDER_VARIABLE, LoadOrder, headers_from
from surgeproof.load.journal_sink import JournalSink
from surgeproof.load.journeys import CURRENT_ARRIVAL, journeys_of
from surgeproof.load.pulse import Counts, Pulse
from surgeproof.load.recorder import Recorder, SampleRow
from surgeproof.load.schedule import build_schedule

__all__ = ["OpenLoopUser", "engine_setup", "order_beside"]

_LOG = logging.getLogger("surgeproof.load")
# The gevent side looks for new samples this often.
_DRAIN_S = 0.02
# It works this long at most before it lets go: while it holds the interpreter, nothing is sent.
_SLICE_S = 0.001
# The same reason: how soon the engine's thread gets the interpreter from one that computes.
_SWITCH_S = 0.0005
# The engine gives arrivals under way a second when it is stopped; the process has three.
_STOP_S = 2.5


class RequestFailedError(Exception):
    """What Locust's request event carries for an attempt that did not serve its user."""


class OpenLoopUser(User):
    """A user class whose journeys start when the plan's schedule says so.

    Subclass it in a scenario file, mark ``async def`` methods with `journey`, and use
    ``self.client``, ``self.ledger`` and ``self.random`` in them. Under ``surgeproof run`` the
    order comes from the harness; by hand (``locust -f FILE --host URL``) from the plan file of
    the same stem beside the scenario file. One instance drives all arrivals, so journeys share
    ``self``; what belongs to one arrival goes in local variables.
    """

    abstract = True
    fixed_count = 1
    client: Client
    ledger: Ledger

    async def prepare(self) -> None:
        """Do once, before the run's start, what journeys need; requests here are not counted."""

    async def read_back(self, kind: str, key: str) -> int:
        """Return how many times a write that the ledger names is found now.

        Raises:
            NotImplementedError: the scenario writes a ledger but cannot read it back.
        """
        raise NotImplementedError(f"this scenario cannot read back {kind!r} {key!r}")

    @property
    def random(self) -> random.Random:
        """A random generator that depends on the plan's seed and the current arrival alone.

        Raises:
            RuntimeError: outside of a journey.
        """
        arrival = CURRENT_ARRIVAL.get()
        if arrival is None:
            raise RuntimeError("self.random belongs to an arrival; it exists in journeys only")
        return arrival.random

    async def think(self, duration_s: float) -> None:
        """Wait between two steps of a session: the next is intended after this wait."""
        arrival = CURRENT_ARRIVAL.get()
        if arrival is not None:
            arrival.next_intended += duration_s
        await asyncio.sleep(duration_s)

    @task
    def drive_load(self) -> None:
        """Drive the whole run; the one Locust task of this user."""
        run = _Run(self)
        try:
            run.follow()
        except SurgeproofError as error:
            _LOG.error("%s", error)
            self.environment.process_exit_code = error.exit_code
        except Exception:  # noqa: BLE001 - the border to the thread and to the scenario's code
            _LOG.exception("the load could not be driven")
            self.environment.process_exit_code = 1
        finally:
            # Also on GreenletExit, which is how Locust stops a user.
            run.finish()
        self._let_locust_write()
        runner = self.environment.runner
        is_headless = self.environment.web_ui is None
        # In a greenlet of its own: stopping kills this one, in the midst of whatever it does.
        gevent.spawn(runner.quit if is_headless else runner.stop)
        while True:
            gevent.sleep(1)

    def _let_locust_write(self) -> None:
        """Wait for Locust's CSV files: it writes them by the second, and not at its end."""
        options = self.environment.parsed_options
        if options is not None and options.csv_prefix:
            gevent.sleep(CSV_STATS_INTERVAL_SEC * 1.5)


class _Run:
    """One run, seen from the gevent side."""

    def __init__(self, user: OpenLoopUser) -> None:
        self._user = user
        self._recorder = Recorder()
        self._pulse = Pulse()
        self._engine: Engine | None = None
        self._thread: Any = None
        self._sink: JournalSink | None = None
        self._reported_errors = 0

    def follow(self) -> None:
        """Start the engine and drain it until it is done.

        Raises:
            SurgeproofError: the order or the scenario cannot be used.
        """
        order = order_for(self._user, os.environ)
        setup = engine_setup(type(self._user), order, os.environ)
        self._sink = JournalSink(order.samples, order.generator)
        sys.setswitchinterval(_SWITCH_S)
        self._engine = Engine(order, setup, self._user, self._recorder)
        self._thread = gevent.get_hub().threadpool.spawn(self._engine.run)
        next_second: float | None = None
        while not self._thread.ready():
            gevent.sleep(_DRAIN_S)
            self._drain(patient=True)
            t0 = self._engine.t0
            if t0 is None:
                continue
            if next_second is None:
                next_second = t0 + 1.0
                self._pulse.begin(time.monotonic(), time.process_time())
            if time.monotonic() >= next_second:
                self._beat(t0)
                next_second = max(next_second + 1.0, time.monotonic())
        self._thread.get()

    def finish(self) -> None:
        """Stop the engine if it runs, drain the rest, write the last pulse, close the files."""
        if self._engine is not None:
            self._engine.stop()
            if self._thread is not None and not self._thread.ready():
                self._thread.wait(timeout=_STOP_S)
            self._drain(patient=False)
            if self._engine.t0 is not None:
                self._beat(self._engine.t0, is_end=True)
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _drain(self, *, patient: bool) -> None:
        """Hand on what the engine recorded; patiently means in slices."""
        recorder, sink = self._recorder, self._sink
        if sink is None or self._engine is None:
            return
        while recorder.loop_lags:
            self._pulse.loop_lag(recorder.loop_lags.popleft())
        while recorder.lags:
            self._pulse.lag(recorder.lags.popleft())
        while recorder.drops:
            sink.drop(recorder.drops.popleft())
        sink.ledger([recorder.ledger.popleft() for _ in range(len(recorder.ledger))])
        for message in self._engine.journey_errors[self._reported_errors :]:
            self._reported_errors += 1
            if self._reported_errors <= 20:  # each kind shows early; the rest would flood the log
                _LOG.error("%s", message)
        slice_end = time.monotonic() + _SLICE_S
        while recorder.samples:
            row = recorder.samples.popleft()
            sink.sample(row)
            self._pulse.sample(row)
            self._fire(row)
            if patient and time.monotonic() > slice_end:
                gevent.sleep(_SLICE_S)
                slice_end = time.monotonic() + _SLICE_S

    def _fire(self, row: SampleRow) -> None:
        """Tell Locust of an attempt that ended; its time counts from the intended start."""
        if row.end_s is None:
            return
        failed = row.outcome in {"error", "shed", "wrong"}
        reason = f"{row.outcome} {row.error_kind}".strip()
        self._user.environment.events.request.fire(
            request_type=row.method,
            name=row.name.removeprefix(f"{row.method} "),
            response_time=(row.end_s - row.intended_s) * 1e3,
            response_length=row.received_bytes or 0,
            exception=RequestFailedError(reason) if failed else None,
            context=MappingProxyType({}),
            response=None,
            start_time=time.time() - time.monotonic() + row.intended_s + (self._t0 or 0.0),
            url=None,
        )

    @property
    def _t0(self) -> float | None:
        return None if self._engine is None else self._engine.t0

    def _beat(self, t0: float, *, is_end: bool = False) -> None:
        recorder, engine, sink = self._recorder, self._engine, self._sink
        if engine is None or sink is None:
            return
        counts = Counts(
            scheduled=engine.due,
            sent=recorder.sent,
            late=recorder.late,
            completed=recorder.completed,
            dropped=recorder.dropped,
            in_flight=recorder.in_flight,
            queued=recorder.queued,
        )
        now = time.monotonic()
        sink.pulse(self._pulse.line(now - t0, counts, now, time.process_time(), is_end=is_end))
        sink.flush()


def engine_setup(
    user_class: type[OpenLoopUser], order: LoadOrder, environment: os._Environ[str]
) -> EngineSetup:
    """Return what the engine needs: the schedule, with every journey that it names at hand.

    Raises:
        UsageError: the schedule cannot be built, or a mix names a journey that does not exist.
    """
    journeys = journeys_of(user_class)
    schedule = build_schedule(order.load, order.seed)
    schedule = schedule.with_weights(
        {name: each.weight for name, each in journeys.items()}, order.seed
    )
    missing = [name for name in schedule.journeys if name not in journeys]
    if missing:
        raise UsageError(
            f"{order.load.file} has no journey {', '.join(map(repr, missing))}, which a mix"
            f" names; accepted: {', '.join(journeys)}"
        )
    return EngineSetup(schedule, journeys, headers_from(environment))


def order_for(user: OpenLoopUser, environment: os._Environ[str]) -> LoadOrder:
    """Return the harness's order, else that of the plan beside the scenario file.

    Raises:
        SurgeproofError: there is no such file, or it has mistakes.
    """
    path = environment.get(ORDER_VARIABLE)
    if path:
        return LoadOrder.read(Path(path))
    return order_beside(Path(inspect.getfile(type(user))), user.host)


def order_beside(scenario: Path, host: str | None) -> LoadOrder:
    """Return the order for a run by hand: the plan of the same stem, nothing journalled.

    Raises:
        UsageError: there is no host, or no such plan.
    """
    # The plan package knows YAML and gates; a run under the harness needs none of it.
    from surgeproof.plan import load_plan  # noqa: PLC0415

    if not host:
        raise UsageError("no host to send to; accepted: locust --host http://HOST:PORT")
    plan_file = scenario.with_suffix(".yaml")
    if not plan_file.is_file():
        raise UsageError(
            f"{plan_file} is missing; a scenario run by hand takes its plan from there"
        )
    return LoadOrder.of_plan(load_plan(plan_file), host, None)
