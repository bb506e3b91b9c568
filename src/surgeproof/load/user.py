"""`OpenLoopUser`: a Locust user that sends by the schedule.

One instance per run owns an engine in an OS thread (from gevent's pool of real threads) with an
event loop of its own; see `surgeproof.load.locust_run` for the side that Locust sees.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import random
from pathlib import Path
from typing import ClassVar

import gevent
from locust import User
from locust.env import Environment
from locust.exception import StopTest, StopUser

from surgeproof.errors import SurgeproofError, UsageError
from surgeproof.load.client import Client
from surgeproof.load.engine import EngineSetup, Ledger
from surgeproof.load.fleet.enlist import Enlistment, enlist
from surgeproof.load.fleet.master import Task
from surgeproof.load.fleet.station import WorkerStation
from surgeproof.load.handover import ORDER_VARIABLE, LoadOrder, headers_from
from surgeproof.load.journeys import CURRENT_ARRIVAL, journeys_of
from surgeproof.load.locust_endings import (
    complete_csv,
    is_asked_to_stop,
    is_second_run_of_a_test,
)
from surgeproof.load.locust_run import LocustRun
from surgeproof.load.locust_tasks import (
    JourneyTask,
    check_tasks,
    chosen_journeys,
    journey_tasks,
    only,
)
from surgeproof.load.schedule import build_schedule

__all__ = ["OpenLoopUser", "engine_setup", "order_beside"]

_LOG = logging.getLogger("surgeproof.load")


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
    _enlistment: ClassVar[Enlistment]

    def __init_subclass__(cls) -> None:
        """Show the journeys to Locust as tasks; let the class lead a fleet, should it be a master.

        Locust's tags and the pickers of its web UI choose among the tasks of a class.
        """
        super().__init_subclass__()
        cls.tasks = [*journey_tasks(cls)]
        if "abstract" not in vars(cls) or not cls.abstract:
            cls._enlistment = enlist(lambda host: _task_of(cls, host))

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        # This user has one thing to do, whatever is left of its class's tasks.
        self.tasks = [JourneyTask("", frozenset())]

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

    def drive_load(self) -> None:
        """Drive the whole run; the one Locust task of this user.

        Raises:
            StopUser: Locust asked for it.
        """
        if is_second_run_of_a_test(self.environment):
            _LOG.warning(
                "this test's schedule has been driven; stop the test and start it to do so again"
            )
            self._idle()
        station = self._enlistment.station()
        run: LocustRun | None = None
        try:
            run = self._make_run(station)
            run.follow()
        except (StopUser, StopTest) as error:
            _LOG.error("a listener on Locust's request event stopped the run: %r", error)
        except SurgeproofError as error:
            _LOG.error("%s", error)
            self._fail(error, error.exit_code, station)
        except Exception as error:  # noqa: BLE001 - the border to the thread and the scenario's code
            _LOG.exception("the load could not be driven")
            self._fail(error, 1, station)
        finally:
            # Also on GreenletExit, which is how Locust stops a user.
            if run is not None:
                run.finish()
        if is_asked_to_stop(self):
            raise StopUser
        if station is None:
            runner = self.environment.runner
            is_headless = self.environment.web_ui is None
            # In a greenlet of its own: stopping kills this one, in the midst of whatever it does.
            gevent.spawn(runner.quit if is_headless else runner.stop)
        self._idle()

    def _idle(self) -> None:
        """Wait to be stopped: a task that returned would be called again."""
        while not is_asked_to_stop(self):
            gevent.sleep(0.1)
        raise StopUser

    def _make_run(self, station: WorkerStation | None) -> LocustRun:
        if station is None:
            complete_csv(self.environment)
            order = order_for(type(self), self.host, os.environ)
            return LocustRun(self, order, engine_setup(type(self), order, os.environ))
        order = station.open()
        setup = station.take(engine_setup(type(self), order, os.environ))
        run = LocustRun(self, order, setup, station)
        # Before the worker takes leave of its master, it has to send what it still has.
        self.environment.events.quitting.add_listener(lambda **_: run.finish())
        return run

    def _fail(self, error: Exception, exit_code: int, station: WorkerStation | None) -> None:
        self.environment.process_exit_code = exit_code
        if station is not None:
            station.fail(str(error) or repr(error), exit_code)


def engine_setup(
    user_class: type[OpenLoopUser], order: LoadOrder, environment: os._Environ[str]
) -> EngineSetup:
    """Return what the engine needs: the schedule, with every journey that it names at hand.

    Raises:
        UsageError: the schedule cannot be built, a mix names a journey that does not exist, or
            Locust's tags leave none.
    """
    check_tasks(user_class)
    known = journeys_of(user_class)
    missing = sorted({name for mix in order.load.mixes.values() for name in mix} - set(known))
    if missing:
        raise UsageError(
            f"{order.load.file} has no journey {', '.join(map(repr, missing))}, which a mix"
            f" names; accepted: {', '.join(known)}"
        )
    journeys = chosen_journeys(user_class)
    schedule = build_schedule(only(order.load, journeys), order.seed)
    schedule = schedule.with_weights(
        {name: each.weight for name, each in journeys.items()}, order.seed
    )
    return EngineSetup(schedule, journeys, headers_from(environment))


def order_for(
    user_class: type[OpenLoopUser], host: str | None, environment: os._Environ[str]
) -> LoadOrder:
    """Return the harness's order, else that of the plan beside the scenario file.

    Raises:
        SurgeproofError: there is no such file, or it has mistakes.
    """
    path = environment.get(ORDER_VARIABLE)
    if path:
        return LoadOrder.read(Path(path))
    return order_beside(Path(inspect.getfile(user_class)), host)


def _task_of(user_class: type[OpenLoopUser], host: str | None) -> Task:
    order = order_for(user_class, host or user_class.host, os.environ)
    setup = engine_setup(user_class, order, os.environ)
    return Task(order, setup.headers, setup.schedule)


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
