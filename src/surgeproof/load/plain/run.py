"""One run of plain users under the plan's arrivals, from making them to taking leave of them."""

from __future__ import annotations

import gc
import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import gevent
from gevent.pool import Pool
from locust import User
from locust.env import Environment
from locust.exception import StopUser

from surgeproof.errors import UsageError
from surgeproof.load.handover import LoadOrder, ready_file, start_file
from surgeproof.load.plain.accounts import RequestAccounts
from surgeproof.load.plain.book import Book
from surgeproof.load.plain.crowd import Crowd, Visitor
from surgeproof.load.plain.dispatcher import Dispatcher, Itinerary
from surgeproof.load.plain.equipment import Equipment
from surgeproof.load.plain.journeys import plain_journeys
from surgeproof.load.pulse import Counts
from surgeproof.load.schedule import build_schedule

__all__ = ["PlainRun", "itinerary_of"]

# Instances that start at the same time: enough to be quick, and no storm of logins.
_STARTS_AT_ONCE = 16
_LOOK_S = 0.01
# How soon a run by hand begins once prepared.
_LEAD_S = 0.05
# Rows are written this often: writing a whole second of them at once would hold arrivals up.
_FLUSH_S = 0.1
_PROBE_S = 0.02
# What arrivals under way, and then `on_stop`, are given when the process has 3 s to end.
_STOP_GRACE_S = 1.0


def itinerary_of(order: LoadOrder, classes: list[type[User]]) -> Itinerary:
    """Return the order's schedule with a journey of the classes for each of its arrivals.

    Raises:
        UsageError: the schedule cannot be built, the classes have no tasks, or a mix names a task
            that does not exist.
    """
    load = order.load
    journeys = plain_journeys(classes, by_session=load.unit == "session")
    schedule = build_schedule(load, order.seed)
    schedule = schedule.with_weights(
        {name: each.weight for name, each in journeys.items()}, order.seed
    )
    missing = [name for name in schedule.journeys if name not in journeys]
    if missing:
        raise UsageError(
            f"{load.file} has no task {', '.join(map(repr, missing))}, which a mix names;"
            f" accepted: {', '.join(journeys)}"
        )
    return Itinerary(schedule, journeys, order.seed, order.max_in_flight)


class PlainRun:
    """One run; everything in it happens on the gevent side."""

    def __init__(
        self,
        order: LoadOrder,
        classes: list[type[User]],
        equipment: Equipment,
        environment: Environment,
    ) -> None:
        self._order, self._equipment, self._environment = order, equipment, environment
        self._itinerary = itinerary_of(order, classes)
        for user_class in classes:
            equipment.prepare(user_class)
        self._crowd = Crowd(equipment.make)
        self._request_event = environment.events.request
        self._book = Book(order, self._itinerary.schedule, self._make_accounts)
        self._dispatcher = Dispatcher(self._itinerary, self._crowd, self._book, environment)
        self._watches: list[gevent.Greenlet] = []

    def follow(self) -> None:
        """Make the users, wait for the start, and drive the schedule to its end.

        Raises:
            Exception: whatever a user's ``on_start`` raises; nothing has been sent by the
                schedule then.
        """
        # Clients take the event from here when they are made, and look it up when they fire.
        self._environment.events.request = self._book.accounts
        self._gather_crowd()
        # What is here now stays: the collector need not walk through it while arrivals wait.
        gc.collect()
        gc.freeze()
        t0 = self._agree_on_start()
        self._book.begin(t0, time.monotonic(), time.process_time())
        self._watches = [gevent.spawn(self._probe), gevent.spawn(self._write)]
        self._dispatcher.begin(t0)
        self._dispatcher.has_dispatched.wait()
        self._dispatcher.settle(self._order.request_timeout_s)

    def finish(self) -> None:
        """End what is under way, take leave of the users, write the last pulse, close the files."""
        self._dispatcher.stop()
        self._dispatcher.settle(_STOP_GRACE_S if self._dispatcher.in_flight else 0.0)
        gevent.killall(self._watches)
        leaving = Pool(_STARTS_AT_ONCE)
        for visitor in self._crowd.idle():
            leaving.spawn(_leave, visitor)
        leaving.join(timeout=_STOP_GRACE_S)
        leaving.kill(timeout=_STOP_GRACE_S)
        if self._book.t0 is not None:
            self._beat(is_end=True)
        self._book.close()
        self._equipment.close()
        self._environment.events.request = self._request_event

    def _make_accounts(self, book: Book) -> RequestAccounts:
        return RequestAccounts(self._request_event, book.take, book.outside)

    def _gather_crowd(self) -> None:
        """Make as many instances of each class as arrivals in the busiest second want."""
        pool, made = Pool(_STARTS_AT_ONCE), []
        for user_class, count in crowd_sizes(self._itinerary).items():
            made += [pool.spawn(self._add, user_class) for _ in range(count)]
        gevent.joinall(made, raise_error=True)

    def _add(self, user_class: type[User]) -> None:
        try:
            self._crowd.give_back(self._crowd.add(user_class))
        except StopUser:
            return  # it went away by its own wish; an arrival that wants one makes another

    def _agree_on_start(self) -> float:
        """Say that all is prepared; return the run's t0, which may lie a moment ahead."""
        order = self._order
        if order.samples is not None:
            ready_file(order.samples, order.generator).write_text("", encoding="utf-8")
        if order.t0 is not None:
            return order.t0
        if order.samples is None:
            return time.monotonic() + _LEAD_S
        path = start_file(order.samples)
        while (t0 := _read_start(path)) is None:
            gevent.sleep(_LOOK_S)
        return t0

    def _probe(self) -> None:
        """Measure how late the hub wakes a greenlet: what holds it up holds up every arrival."""
        while True:
            due = time.monotonic() + _PROBE_S
            gevent.sleep(_PROBE_S)
            self._book.pulse.loop_lag(max(0.0, time.monotonic() - due))

    def _write(self) -> None:
        next_second = (self._book.t0 or 0.0) + 1.0
        while True:
            gevent.sleep(_FLUSH_S)
            self._book.flush()
            if time.monotonic() >= next_second:
                self._beat()
                next_second = max(next_second + 1.0, time.monotonic())

    def _beat(self, *, is_end: bool = False) -> None:
        dispatcher, book = self._dispatcher, self._book
        counts = Counts(
            scheduled=dispatcher.due,
            sent=book.sent,
            late=book.late,
            completed=dispatcher.completed,
            dropped=book.drops,
            in_flight=dispatcher.in_flight,
            queued=self._equipment.queued,
        )
        book.beat(
            counts,
            time.monotonic(),
            time.process_time(),
            waited=self._equipment.waited,
            is_end=is_end,
        )


def crowd_sizes(itinerary: Itinerary) -> Mapping[type[User], int]:
    """Return how many instances of each class to have before the start.

    As many as the busiest second has arrivals for it, at least one, and in all no more than may
    be under way.
    """
    schedule = itinerary.schedule
    busiest = int(schedule.per_second().max())
    shares: Counter[type[User]] = Counter()
    for number, count in Counter(schedule.journey_index.tolist()).items():
        shares[itinerary.journeys[schedule.journeys[number]].user_class] += count
    wanted = min(busiest, itinerary.max_in_flight)
    return {each: max(1, wanted * count // len(schedule)) for each, count in shares.items()}


def _read_start(path: Path) -> float | None:
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["t0"])
    except FileNotFoundError:
        return None


def _leave(visitor: Visitor) -> None:
    try:
        visitor.leave()
    except StopUser:
        return
