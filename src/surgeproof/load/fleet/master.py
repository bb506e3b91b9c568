"""The master of a fleet: hands out the order, agrees on the start, deals, journals, ends.

Locust's master goes on as ever (web UI, statistics, spawning); this listens to it and talks to the
workers beside it. Everything here runs in greenlets of one thread.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gevent

from surgeproof.errors import EnvironmentNotReadyError, SurgeproofError
from surgeproof.load.fleet.dealing import Takeover
from surgeproof.load.fleet.dispatcher import OneUserEach
from surgeproof.load.fleet.fleet_journal import FleetJournal
from surgeproof.load.fleet.messages import (
    Failed,
    Hello,
    Leave,
    Order,
    Ping,
    Pong,
    Ready,
    Shipment,
    Start,
    Stop,
)
from surgeproof.load.fleet.place import Place, ProcessWatch, here
from surgeproof.load.fleet.post import Post
from surgeproof.load.fleet.roster import Presence, Roster
from surgeproof.load.handover import LoadOrder, ready_file, start_file
from surgeproof.load.schedule import Schedule

__all__ = ["FleetMaster", "Task"]

_LOG = logging.getLogger("surgeproof.load")
_LOOK_S = 0.05
# Between the start's announcement and t0, where nobody else says when it is.
_START_LEAD_S = 0.5
# A stop is told this long before it takes effect, so that all workers stop at one moment.
_STOP_LEAD_S = 0.15
# What workers are given to finish and to ship their rest; the harness gives the master 3 s.
_STOP_PATIENCE_S = 2.2
# If the master's own look comes this much late, silence in the meantime is its own fault.
_HELD_UP_S = 0.5
_NEVER_S = -1.0


@dataclass(frozen=True, slots=True)
class Task:
    """What there is to do: the order with its headers, and the schedule that it means."""

    order: LoadOrder
    headers: Mapping[str, str]
    schedule: Schedule


@dataclass(slots=True)
class _Worker:
    """What the master knows of a worker beside its place in the roster."""

    number: int
    client: str
    place: Place
    watch: ProcessWatch | None
    taken: int = 0
    acknowledged_s: float | None = None
    clock: Mapping[str, object] | None = None
    is_told: bool = False


class FleetMaster:
    """Runs a fleet whenever Locust's master starts a test; one per process."""

    def __init__(self, environment: Any, find_task: Callable[[], Task]) -> None:
        self._environment, self._find_task = environment, find_task
        self._post = Post(environment.runner)
        self._run: _FleetRun | None = None

    def register(self) -> None:
        """Listen to the workers and to Locust's master."""
        runner, events = self._environment.runner, self._environment.events
        self._environment.dispatcher_class = partial(OneUserEach, runner)
        self._post.on(Hello, lambda *said: self._tell("hello", *said))
        self._post.on(Ready, lambda *said: self._tell("ready", *said))
        self._post.on(Failed, lambda *said: self._tell("failed", *said))
        self._post.on(Shipment, lambda *said: self._tell("shipment", *said))
        self._post.on(Ping, self._pong)
        events.test_start.add_listener(lambda **_: self._begin())
        events.test_stopping.add_listener(lambda **_: self._stop())

    def _tell(self, what: str, client: str, message: Any, received: float) -> None:
        run = self._run
        if run is not None and getattr(message, "run", run.id) == run.id:
            getattr(run, what)(client, message, received)

    def _pong(self, client: str, ping: Ping, received: float) -> None:
        self._post.send(Pong(ping.asked, received, time.monotonic()), client)

    def _begin(self) -> None:
        try:
            self._run = _FleetRun(self._environment, self._post, self._find_task())
        except SurgeproofError as error:
            _LOG.error("%s", error)
            self._environment.process_exit_code = error.exit_code
            gevent.spawn(self._environment.runner.quit)
            return
        gevent.spawn(self._run.follow)

    def _stop(self) -> None:
        if self._run is not None:
            self._run.stop()


class _FleetRun:
    """One run of the fleet."""

    def __init__(self, environment: Any, post: Post, task: Task) -> None:
        self.id = secrets.token_hex(4)
        self._environment, self._post, self._task = environment, post, task
        self._place = here("")
        self._bundle = _read_bundle(task.order.ca_bundle)
        self._roster = Roster()
        self._workers: dict[int, _Worker] = {}
        self._journal = FleetJournal(task.order.samples, task.schedule, task.order.tiers)
        self._expected = set(environment.runner.clients)
        self._t0: float | None = None
        self._said_ready = False
        self._stop_s: float | None = None
        self._has_failed = False
        self._is_over = False

    # -- the run's course -------------------------------------------------------------------------

    def follow(self) -> None:
        """Go with the run to its end, then let Locust end as well."""
        try:
            self._look_around()
        except SurgeproofError as error:
            _LOG.error("%s", error)
            self._environment.process_exit_code = error.exit_code
        except Exception:  # noqa: BLE001 - the border of a greenlet: nobody else would hear of it
            _LOG.exception("the load could not be dealt")
            self._environment.process_exit_code = 1
        was_asked = self._stop_s is not None
        self._finish()
        if not was_asked:
            self._end_locust()

    def stop(self) -> None:
        """Stop all workers at one moment and wait for what they still have to ship."""
        if self._is_over or self._stop_s is not None:
            return
        if self._t0 is None:
            self._stop_s = _NEVER_S
        else:
            self._stop_s = min(self._now_s() + _STOP_LEAD_S, self._task.schedule.duration_s)
        for worker in tuple(self._workers.values()):
            self._post.send(Stop(self.id, self._stop_s), worker.client)
        deadline = time.monotonic() + _STOP_PATIENCE_S
        while not self._is_over and self._roster.sending and time.monotonic() < deadline:
            gevent.sleep(_LOOK_S)
        self._finish()

    def _look_around(self) -> None:
        looked = time.monotonic()
        while not self._is_over:
            gevent.sleep(_LOOK_S)
            held_up_s, looked = time.monotonic() - looked - _LOOK_S, time.monotonic()
            # A copy: looking lets other greenlets run, and a worker may join meanwhile.
            for worker in tuple(self._workers.values()):
                if worker.watch is not None and worker.watch.has_died:
                    self._lose(worker, "its process has ended", is_dead=True)
            if self._t0 is None:
                if self._stop_s is not None or self._has_failed:
                    return
                self._agree_on_start()
                continue
            if held_up_s > _HELD_UP_S:
                # What the workers said in the meantime has yet to be read.
                self._roster.forgive(held_up_s)
                continue
            for number in self._roster.silent(self._now_s()):
                self._lose(self._workers[number], "nothing was heard of it", is_dead=False)
            if not self._roster.sending:
                if self._roster.numbers(Presence.ENDED) or self._stop_s is not None:
                    return
                raise EnvironmentNotReadyError("every worker is lost")

    def _agree_on_start(self) -> None:
        """Begin once everybody who was there at first is prepared and the moment is known."""
        roster = self._roster
        missing = self._expected - {worker.client for worker in self._workers.values()}
        if roster.numbers(Presence.PREPARING) or (missing & set(self._environment.runner.clients)):
            return
        if not roster.numbers(Presence.READY):
            raise EnvironmentNotReadyError("no worker is left to begin with")
        samples, order = self._task.order.samples, self._task.order
        if samples is None or order.t0 is not None:
            self._start(time.monotonic() + _START_LEAD_S if order.t0 is None else order.t0)
            return
        if not self._said_ready:
            self._said_ready = True
            ready_file(samples, order.generator).write_text("", encoding="utf-8")
        t0 = _read_start(start_file(samples))
        if t0 is not None:
            self._start(t0)

    def _start(self, t0: float) -> None:
        self._t0 = t0
        self._roster.begin()
        for number in self._roster.sending:
            self._note_joined(self._workers[number], 0.0)
        self._give_leave_to_all()

    def _finish(self) -> None:
        """Close the books: what was due and has no known fate is dropped."""
        if self._is_over:
            return
        self._is_over = True
        duration_s = self._task.schedule.duration_s
        end_s = 0.0
        if self._t0 is not None:
            asked_s = duration_s if self._stop_s is None else self._stop_s
            end_s = max(0.0, min(asked_s, duration_s, self._now_s()))
        unknown = self._journal.finish(end_s)
        if unknown:
            _LOG.warning("%d arrivals of unknown fate count as dropped", unknown)
        due = self._journal.due(end_s)
        self._journal.event("ended", end_s=end_s, due=due, unknown=unknown)
        self._journal.close()
        for worker in tuple(self._workers.values()):
            if worker.watch is not None:
                worker.watch.close()

    def _end_locust(self) -> None:
        environment = self._environment
        options = environment.parsed_options
        if options is not None and options.csv_prefix:
            # Locust writes its CSV files by the second, and not at its end.
            gevent.sleep(1.5)
        if environment.web_ui is None:
            environment.runner.quit()
        else:
            environment.runner.stop()

    # -- what workers say -------------------------------------------------------------------------

    def hello(self, client: str, message: Hello, received: float) -> None:
        """A worker wants to take part."""
        del received
        if self._is_over or self._stop_s is not None:
            return
        number = int(self._environment.runner.get_worker_index(client))
        place = Place.from_data(message.place)
        if number not in self._workers:
            watch = ProcessWatch(place.pid) if self._place.sees_processes_of(place) else None
            self._workers[number] = _Worker(number, client, place, watch)
            self._roster.join(number)
        order = replace(self._task.order, samples=None, generator=number, t0=None)
        self._post.send(
            Order(
                self.id,
                number,
                order.to_json(),
                dict(self._task.headers),
                self._place.to_data(),
                self._bundle,
            ),
            client,
        )

    def ready(self, client: str, message: Ready, received: float) -> None:
        """A worker is prepared: it begins with the others, or has its share from now on."""
        del received
        worker = self._worker(client)
        if worker is None or self._is_over:
            return
        if message.schedule_sha256 != self._task.schedule.sha256:
            self._refuse(
                worker,
                f"worker {worker.number} on {worker.place.host} has another schedule than the"
                " master; accepted: the same files and versions on every host",
                EnvironmentNotReadyError.exit_code,
            )
            return
        worker.clock = {
            "clock_offset_s": message.offset_s,
            "clock_uncertainty_s": message.uncertainty_s,
            "shares_clock": message.shares_clock,
        }
        self._roster.ready(worker.number)
        if self._t0 is not None:
            self._admit(worker)

    def failed(self, client: str, message: Failed, received: float) -> None:
        """A worker cannot take part; before the start that is the end of the run."""
        del received
        worker = self._worker(client)
        if worker is not None:
            self._refuse(worker, message.message, message.exit_code)

    def shipment(self, client: str, message: Shipment, received: float) -> None:
        """A worker has something to journal; it lives, and has leave for longer."""
        worker = self._worker(client)
        if worker is None or self._t0 is None or self._is_over:
            return
        if message.number == worker.taken + 1:
            self._journal.take(worker.number, message)
            worker.taken = message.number
            worker.acknowledged_s = message.t_s
        presence = self._roster.members[worker.number].presence
        if message.is_last and worker.taken == message.number:
            self._let_go(worker, message.stopped_s)
        elif presence is Presence.LOST:
            self._admit(worker)
        if presence is Presence.SENDING and not message.is_last:
            self._roster.heard(worker.number, self._now_s())
        self._give_leave(worker, message.asked, received)

    # -- workers that come and go -----------------------------------------------------------------

    def _admit(self, worker: _Worker) -> None:
        """Give a late joiner, or one that is back, its share from the next cut-off on."""
        from_s = self._roster.admit(worker.number, self._now_s())
        self._note_joined(worker, from_s)
        self._give_leave_to_all()

    def _let_go(self, worker: _Worker, stopped_s: float) -> None:
        """A worker has shipped its last: the run is over for it, or it leaves before."""
        presence = self._roster.members[worker.number].presence
        if presence is Presence.ENDED:
            return
        if self._stop_s is not None or stopped_s >= self._task.schedule.duration_s:
            self._roster.end(worker.number)
            self._journal.event("generator.ended", generator=worker.number, code=0)
            return
        change = self._roster.leave(worker.number, self._now_s(), stopped_s)
        self._note_lost(worker, "it was told to quit", stopped_s, change)
        self._give_leave_to_all()

    def _lose(self, worker: _Worker, why: str, *, is_dead: bool) -> None:
        number = worker.number
        presence = self._roster.members[number].presence
        if presence is Presence.LOST and is_dead and worker.watch is not None:
            worker.watch.close()
        if presence in {Presence.LOST, Presence.ENDED}:
            return
        if self._t0 is None:
            self._roster.lose(number, 0.0, is_dead=is_dead)
            _LOG.error("worker %d on %s is lost: %s", number, worker.place.host, why)
            return
        change = self._roster.lose(number, self._now_s(), is_dead=is_dead)
        until_s = self._now_s() if change is None else change.from_s
        self._note_lost(worker, why, until_s, change)
        self._give_leave_to_all()

    def _refuse(self, worker: _Worker, message: str, exit_code: int) -> None:
        _LOG.error("worker %d: %s", worker.number, message)
        self._roster.end(worker.number)
        self._post.send(Stop(self.id, _NEVER_S), worker.client)
        if self._t0 is None:
            self._environment.process_exit_code = exit_code
            self._has_failed = True

    # -- telling ----------------------------------------------------------------------------------

    def _give_leave_to_all(self) -> None:
        for number in self._roster.sending:
            self._give_leave(self._workers[number], 0.0, 0.0)

    def _give_leave(self, worker: _Worker, asked: float, received: float) -> None:
        if not worker.is_told and self._t0 is not None:
            worker.is_told = True
            self._post.send(Start(self.id, self._t0), worker.client)
        self._post.send(
            Leave(
                self.id,
                self._roster.dealing.to_data(),
                self._roster.members[worker.number].until_s,
                worker.taken,
                asked,
                received,
                time.monotonic(),
            ),
            worker.client,
        )

    def _note_joined(self, worker: _Worker, from_s: float) -> None:
        clock = worker.clock or {}
        _LOG.info(
            "worker %d on %s has its share from %.3f s on", worker.number, worker.place.host, from_s
        )
        self._journal.event(
            "generator.started",
            generator=worker.number,
            pid=worker.place.pid,
            host=worker.place.host,
            from_s=from_s,
            **clock,
        )

    def _note_lost(
        self, worker: _Worker, why: str, until_s: float, change: Takeover | None
    ) -> None:
        before = self._roster.dealing.changes
        unknown = self._journal.unknown(
            worker.number,
            replace(self._roster.dealing, changes=before if change is None else before[:-1]),
            until_s,
        )
        heirs = [] if change is None else list(change.heirs)
        _LOG.error(
            "worker %d on %s is lost: %s; acknowledged until %s s, %d arrivals of unknown fate,"
            " the rest dealt to %s from %.3f s on",
            worker.number,
            worker.place.host,
            why,
            worker.acknowledged_s,
            unknown,
            heirs or "nobody",
            until_s if change is None else change.from_s,
        )
        self._journal.event(
            "generator.lost",
            generator=worker.number,
            pid=worker.place.pid,
            host=worker.place.host,
            reason=why,
            last_acknowledged_s=worker.acknowledged_s,
            unknown=unknown,
            redealt_from_s=None if change is None else change.from_s,
            redealt_to=heirs,
        )

    def _worker(self, client: str) -> _Worker | None:
        return next((each for each in tuple(self._workers.values()) if each.client == client), None)

    def _now_s(self) -> float:
        return time.monotonic() - (self._t0 or 0.0)


def _read_start(path: Path) -> float | None:
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["t0"])
    except FileNotFoundError:
        return None


def _read_bundle(path: Path | None) -> str:
    try:
        return "" if path is None else path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise EnvironmentNotReadyError(f"CA bundle {path} cannot be read: {error}") from error
