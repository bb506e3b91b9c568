"""One run in a Locust process, seen from the gevent side.

The engine has an OS thread of its own; here what it has recorded is drained: into the journal,
into Locust's statistics and request event, and into the pulse. While this side holds the
interpreter nothing is sent, so it works in short pieces.
"""

from __future__ import annotations

import gc
import logging
import sys
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import gevent
import numpy as np
from numpy.typing import NDArray

from surgeproof.load.batches import drop_batch, sample_batch
from surgeproof.load.engine import PROBE_S, Engine, EngineSetup
from surgeproof.load.fleet.shipping_sink import ShippingSink
from surgeproof.load.fleet.station import WorkerStation
from surgeproof.load.handover import LoadOrder
from surgeproof.load.journal_sink import JournalSink
from surgeproof.load.journeys import Journey
from surgeproof.load.locust_endings import is_asked_to_stop
from surgeproof.load.locust_events import EventQueue
from surgeproof.load.locust_statistics import (
    RequestFailedError,
    Requests,
    fill,
    somebody_listens,
)
from surgeproof.load.pulse import Counts, Pulse
from surgeproof.load.recorder import OUTCOMES, SAMPLE_ROW, Recorder
from surgeproof.load.vitals import Vitals
from surgeproof.load.watchdog import CLOSE_S, Stacks, Watchdog, journey_codes

if TYPE_CHECKING:
    from surgeproof.load.user import OpenLoopUser

__all__ = ["LocustRun"]

_LOG = logging.getLogger("surgeproof.load")
# How often this side looks what is going on, and how often it takes what was recorded. Each taking
# holds the interpreter for half a millisecond however little there is: at five a second that is
# too seldom to show in the 99th percentile of the lag.
_LOOK_S = 0.02
_DRAIN_S = 0.2
# How soon the engine's thread gets the interpreter from one that computes.
_SWITCH_S = 0.0005
# The engine gives arrivals under way a second when it is stopped; the process has three.
_STOP_S = 2.5
# Locust's listeners are given this long for what is left when the run has ended.
_EVENTS_S = 1.0
# A look at ten thousand young objects takes a tenth of a millisecond. With the usual 700 the
# collector would look 14 times as often, and what arrivals make is mostly free of cycles.
_YOUNG_OBJECTS = 10_000
_MOST_COMPLAINTS = 20


# More kinds of error than there can be: the column has 16 bits.
_MOST_KINDS = 1 << 16


# Rows of a batch of the journal: a millisecond's work, between which others get their turn.
_BATCH_ROWS = 5_000
_COLUMNS = SAMPLE_ROW.names or ()
_INTENDED, _END = _COLUMNS.index("intended_s"), _COLUMNS.index("end_s")
_OUTCOME, _ERROR_KIND = _COLUMNS.index("outcome"), _COLUMNS.index("error_kind")
_LABEL, _RECEIVED = _COLUMNS.index("label"), _COLUMNS.index("received_bytes")
_FAILED = frozenset(
    code for code, outcome in enumerate(OUTCOMES) if outcome in {"error", "shed", "wrong"}
)
_NO_CONTEXT: MappingProxyType[str, object] = MappingProxyType({})


class LocustRun:
    """Starts the engine, drains it, and ends it."""

    def __init__(
        self,
        user: OpenLoopUser,
        order: LoadOrder,
        setup: EngineSetup,
        station: WorkerStation | None = None,
    ) -> None:
        self._user, self._order, self._setup, self._station = user, order, setup, station
        self._recorder = Recorder(order.tiers, late_after_s=order.load.late_after_s)
        self._pulse = Pulse()
        self._vitals = Vitals()
        self._sink: JournalSink | ShippingSink = JournalSink(order.samples, order.generator)
        if station is not None:
            # A worker ships to its master what others write to their journal.
            self._sink = station.sink
        self._phases = [phase.name for phase in setup.schedule.phases]
        self._chunks: list[NDArray[np.void]] = []
        self._engine = Engine(order, setup, user, self._recorder, director=station)
        self._thread: Any = None
        self._reported = 0
        # Method and name of each label, by its code.
        self._kinds: list[tuple[str, str]] = []
        self._events = EventQueue(self._fire)
        journeys = {
            name: each.run for name, each in setup.journeys.items() if isinstance(each, Journey)
        }
        self._stacks = Stacks()
        self._closer_look: Any = None
        self._watchdog = Watchdog(
            self._stacks.frame, journey_codes(journeys), _LOG.warning, period_s=PROBE_S
        )
        self._is_finishing = False

    def follow(self) -> None:
        """Start the engine and drain it until it is done.

        Raises:
            SurgeproofError: the scenario cannot be used.
        """
        sys.setswitchinterval(_SWITCH_S)
        self._warm_up()
        self._thread = gevent.get_hub().threadpool.spawn(self._run_engine)
        next_second: float | None = None
        next_drain = 0.0
        while not self._thread.ready():
            gevent.sleep(_LOOK_S)
            if self._station is not None:
                self._station.attend(self._engine)
            if time.monotonic() >= next_drain:
                self._drain()
                next_drain = time.monotonic() + _DRAIN_S
            self._events.raise_stop()
            if is_asked_to_stop(self._user):
                # Nothing more is started; what is under way may end, as long as Locust waits.
                self._engine.cut(0.0)
            t0 = self._engine.t0
            if t0 is None:
                continue
            if next_second is None:
                # What the preparation has made lives as long as the run.
                gc.freeze()
                next_second = t0 + 1.0
                self._pulse.begin(time.monotonic(), time.process_time())
                self._vitals.begin()
            self._watch()
            if time.monotonic() >= next_second:
                # A worker ships at each beat what ended before it: this may not wait for a drain.
                self._drain()
                self._beat(t0)
                next_second = max(next_second + 1.0, time.monotonic())
        self._thread.get()

    def finish(self) -> None:
        """Stop the engine if it runs, drain the rest, write the last pulse, close the files.

        Only the first call does; a worker may be told to quit in the midst of its end.
        """
        if self._is_finishing:
            return
        self._is_finishing = True
        if self._thread is not None:
            self._engine.stop()
            if not self._thread.ready():
                self._thread.wait(timeout=_STOP_S)
            while self._recorder.packed:
                self._drain()
            self._drain()
            self._watchdog.close(time.monotonic())
            if self._engine.t0 is not None:
                self._beat(self._engine.t0, is_end=True)
            self._vitals.end()
            self._events.finish(_EVENTS_S)
        if self._station is not None:
            self._station.end()
        self._sink.close()

    def _run_engine(self) -> None:
        """Run the engine in this thread, where the watchdog looks."""
        self._stacks.attach()
        self._engine.run()

    def _watch(self) -> None:
        """Look for journeys that block the engine's loop; closely while it is overdue."""
        if self._is_overdue() and (self._closer_look is None or self._closer_look.ready()):
            self._closer_look = gevent.spawn(self._watch_closely)

    def _watch_closely(self) -> None:
        while not self._thread.ready() and self._is_overdue():
            gevent.sleep(CLOSE_S)

    def _is_overdue(self) -> bool:
        return self._watchdog.look(time.monotonic(), self._recorder.beat_s)

    def _warm_up(self) -> None:
        """Do once what is slow the first time, before the schedule could feel it."""
        empty = np.zeros(1, dtype=SAMPLE_ROW)
        recorder = Recorder()
        recorder.label("", "")
        sample_batch(empty, recorder, [""], 0)
        Pulse().rows(empty)
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS)

    def _drain(self) -> None:
        """Hand on what the engine has recorded since the last time."""
        recorder, sink = self._recorder, self._sink
        while recorder.loop_lags:
            self._pulse.loop_lag(recorder.loop_lags.popleft())
        sink.ledger([recorder.ledger.popleft() for _ in range(len(recorder.ledger))])
        for message in self._engine.journey_errors[self._reported : _MOST_COMPLAINTS]:
            self._reported += 1
            _LOG.error("%s", message)
        if recorder.packed:
            rows = recorder.take()
            self._chunks.append(rows)
            self._pulse.rows(rows)
            self._tell_locust(rows)

    def _tell_locust(self, rows: NDArray[np.void]) -> None:
        """Fill Locust's statistics, or fire its event for each where somebody else listens too."""
        environment = self._user.environment
        if somebody_listens(environment):
            self._events.add(rows[~np.isnan(rows["end_s"])])
        else:
            fill(environment.stats, self._requests(rows))

    def _requests(self, rows: NDArray[np.void]) -> Requests:
        recorder = self._recorder
        rows = rows[~np.isnan(rows["end_s"])]
        if recorder.labels:
            self._kind(len(recorder.labels) - 1)
        # Each pair of outcome and kind of error is a reason of its own, and so are all in use.
        codes = rows["outcome"].astype(np.int64) * _MOST_KINDS + rows["error_kind"]
        used, reason = np.unique(codes, return_inverse=True)
        reasons = tuple(
            _reason(OUTCOMES[code // _MOST_KINDS], recorder.error_kinds.words[code % _MOST_KINDS])
            for code in used.tolist()
        )
        return Requests(
            kind=rows["label"].astype(np.int64),
            reason=reason,
            response_ms=(rows["end_s"] - rows["intended_s"]) * 1e3,
            length=rows["received_bytes"].astype(np.int64),
            moment_s=rows["end_s"] + self._epoch_s(),
            kinds=tuple(self._kinds),
            reasons=reasons,
        )

    def _fire(self, values: tuple[Any, ...]) -> None:
        """Tell Locust of an attempt that ended; its time counts from the intended start."""
        intended_s, end_s, outcome = values[_INTENDED], values[_END], values[_OUTCOME]
        method, name = self._kind(values[_LABEL])
        reason = ""
        if outcome in _FAILED:
            words = self._recorder.error_kinds.words
            reason = _reason(OUTCOMES[outcome], words[values[_ERROR_KIND]])
        self._user.environment.events.request.fire(
            request_type=method,
            name=name,
            response_time=(end_s - intended_s) * 1e3,
            response_length=values[_RECEIVED],
            exception=RequestFailedError(reason) if reason else None,
            context=_NO_CONTEXT,
            response=None,
            start_time=self._epoch_s() + intended_s,
            url=None,
        )

    def _kind(self, code: int) -> tuple[str, str]:
        """Return the method and the name of a label, as Locust shows them."""
        while len(self._kinds) <= code:
            label = self._recorder.labels[len(self._kinds)]
            method = self._recorder.methods.words[label.method]
            name = self._recorder.names.words[label.name]
            self._kinds.append((method, _plain_name(name, method)))
        return self._kinds[code]

    def _epoch_s(self) -> float:
        """Return t0 in seconds since the epoch."""
        return time.time() - time.monotonic() + (self._engine.t0 or 0.0)

    def _beat(self, t0: float, *, is_end: bool = False) -> None:
        recorder, engine, sink = self._recorder, self._engine, self._sink
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
        line = self._pulse.line(now - t0, counts, now, time.process_time(), is_end=is_end)
        line["waited"] = recorder.waited
        sink.pulse({**line, **self._vitals.line(is_end=is_end), **self._watchdog.line()})
        self._write_samples()

    def _write_samples(self) -> None:
        """Make everything drained so far readable in the journal."""
        chunks, self._chunks = self._chunks, []
        generator = self._order.generator
        rows = np.concatenate(chunks) if chunks else np.empty(0, dtype=SAMPLE_ROW)
        for first in range(0, len(rows), _BATCH_ROWS):
            part = rows[first : first + _BATCH_ROWS]
            batch = sample_batch(part, self._recorder, self._phases, generator)
            self._sink.sample_batch(batch)
            gevent.sleep(0)
        slots = self._recorder.take_drops()
        if len(slots):
            self._sink.drop_batch(drop_batch(slots, self._setup.schedule, self._recorder))
        self._sink.flush()


def _reason(outcome: str, error_kind: str) -> str:
    """Return why a sample counts as failed for Locust, empty if it does not."""
    failed = outcome in {"error", "shed", "wrong"}
    return f"{outcome} {error_kind}".strip() if failed else ""


def _plain_name(name: str, method: str) -> str:
    """Return a sample's name without its method, which Locust has in a column of its own."""
    return name.removeprefix(f"{method} ")
