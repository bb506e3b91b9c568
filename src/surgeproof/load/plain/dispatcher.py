"""The dispatcher: starts a greenlet for every arrival at its moment, whatever became of others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.exception import StopTest, StopUser

from surgeproof.load.alarm import Alarm, make_alarm
from surgeproof.load.plain.arrival import PlainArrival, attach
from surgeproof.load.plain.crowd import INTERRUPTIONS, Crowd, Visitor
from surgeproof.load.plain.hub import hub_loop
from surgeproof.load.plain.journeys import PlainJourney
from surgeproof.load.schedule import Schedule

__all__ = ["Dispatcher", "Itinerary", "Register"]

_LOG = logging.getLogger("surgeproof.load")
# Of tasks that raise, each kind shows early; the rest would flood the log.
_MOST_LOGGED = 20
# How often an arrival goes on to another task where its own only interrupts its task set.
_MOST_TRIES = 10
_KILL_S = 1.0


class Register(Protocol):
    """Is told of arrivals that ended; requests come by way of the request event."""

    def dropped(self, index: int) -> None:
        """Count an arrival that made no request, by its place in the schedule."""
        ...

    def cut_off(self, arrival: PlainArrival) -> None:
        """Count the request that an arrival had under way when the run ended."""
        ...


@dataclass(frozen=True, slots=True)
class Itinerary:
    """What is to be started: the schedule with its journeys, and the bound on what is under way."""

    schedule: Schedule
    journeys: Mapping[str, PlainJourney]
    seed: int
    max_in_flight: int


class Dispatcher:
    """Follows a schedule on the gevent hub. All its methods belong to the hub's thread."""

    def __init__(
        self,
        itinerary: Itinerary,
        crowd: Crowd,
        register: Register,
        environment: Environment,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._itinerary, self._crowd, self._register = itinerary, crowd, register
        self._environment, self._monotonic = environment, monotonic
        self._alarm: Alarm | None = None
        self._moments: list[float] = []
        self._names = [phase.name for phase in itinerary.schedule.phases]
        self._under_way: set[gevent.Greenlet] = set()
        self._errors = 0
        self.due = 0
        self.completed = 0
        self.has_dispatched = Event()

    @property
    def in_flight(self) -> int:
        """How many arrivals are under way."""
        return len(self._under_way)

    def begin(self, t0: float) -> None:
        """Start arrivals from now on, at their moments after ``t0``; returns at once."""
        self._moments = (self._itinerary.schedule.times_s + t0).tolist()
        self._alarm = make_alarm(hub_loop(), self._tick, self._monotonic)
        self._alarm.set(self._moments[0])

    def stop(self) -> None:
        """Start no more arrivals."""
        if self._alarm is not None:
            self._alarm.close()
            self._alarm = None

    def settle(self, patience_s: float) -> None:
        """Wait for arrivals under way, then end the rest: their requests stay unfinished."""
        gevent.joinall(list(self._under_way), timeout=patience_s)
        gevent.killall(list(self._under_way), timeout=_KILL_S)

    def _tick(self) -> None:
        # Runs in the hub: it may start greenlets, and must never wait for anything.
        now, moments = self._monotonic(), self._moments
        while self.due < len(moments) and moments[self.due] <= now:
            index, self.due = self.due, self.due + 1
            self._start(index, moments[index])
        if self._alarm is None:
            return
        if self.due < len(moments):
            self._alarm.set(moments[self.due])
        else:
            self.has_dispatched.set()

    def _start(self, index: int, intended: float) -> None:
        if len(self._under_way) >= self._itinerary.max_in_flight:
            self._register.dropped(index)
            return
        schedule = self._itinerary.schedule
        name = schedule.journeys[schedule.journey_index[index]]
        phase = self._names[schedule.phase_index[index]]
        arrival = PlainArrival(index, intended, phase, name, self._itinerary.seed)
        greenlet = gevent.Greenlet(self._travel, arrival, self._itinerary.journeys[name])
        attach(greenlet, arrival)
        self._under_way.add(greenlet)
        greenlet.start()

    def _travel(self, arrival: PlainArrival, journey: PlainJourney) -> None:
        visitor: Visitor | None = None
        try:
            visitor = self._crowd.take(journey.user_class)
            self._visit(visitor, arrival, journey)
        except gevent.GreenletExit:
            self._register.cut_off(arrival)
        except StopUser:
            self._let_go(visitor, arrival)
            visitor = None
        except StopTest:
            runner = self._environment.runner
            if runner is not None:
                gevent.spawn(runner.quit)
        except Exception as error:  # noqa: BLE001 - the border to the locustfile's code
            self._complain(visitor, journey, error)
        finally:
            if visitor is not None:
                self._crowd.give_back(visitor)
            self._end(arrival)

    def _visit(self, visitor: Visitor, arrival: PlainArrival, journey: PlainJourney) -> None:
        """Run the journey; where it only interrupts its set, another one of the same class."""
        arrival.began = self._monotonic()
        for _ in range(_MOST_TRIES):
            try:
                visitor.perform(journey)
            except INTERRUPTIONS:
                if not arrival.was_sent:
                    others = [
                        each
                        for each in self._itinerary.journeys.values()
                        if each.user_class is journey.user_class and each is not journey
                    ]
                    if others:
                        weights = [each.weight for each in others]
                        (journey,) = arrival.random().choices(others, weights)
                        continue
            return

    def _let_go(self, visitor: Visitor | None, arrival: PlainArrival) -> None:
        """Take leave of an instance whose task said that its user stops."""
        if visitor is not None:
            arrival.is_apart = True
            self._crowd.retire()
            visitor.leave()

    def _complain(self, visitor: Visitor | None, journey: PlainJourney, error: Exception) -> None:
        self._errors += 1
        if self._errors <= _MOST_LOGGED:
            _LOG.error("task %s raised %r", journey.name, error, exc_info=error)
        event: Any = self._environment.events.user_error
        event.fire(
            user_instance=None if visitor is None else visitor.user,
            exception=error,
            tb=error.__traceback__,
        )

    def _end(self, arrival: PlainArrival) -> None:
        # What a greenlet of the task still sends belongs to no arrival any more.
        arrival.is_apart = True
        self._under_way.discard(gevent.getcurrent())
        if arrival.was_sent:
            self.completed += 1
        else:
            self._register.dropped(arrival.index)
