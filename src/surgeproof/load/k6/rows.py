"""k6's requests as rows of the journal, on the run's own time axis."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from surgeproof.load.handover import LoadOrder
from surgeproof.load.k6.output import K6Request, K6Stream, error_kind_of
from surgeproof.load.pulse import Counts
from surgeproof.load.recorder import DropRow, LedgerRow, SampleRow
from surgeproof.load.schedule import Schedule
from surgeproof.model.words import Outcome

__all__ = ["K6Rows", "request_name"]

# k6 writes its output several times a second: a drop may be read this long after a request that
# started later, and which arrival a request is depends on the drops before it.
_PATIENCE_S = 1.5


class K6Rows:
    """Holds requests back until the drops before them must be known, then makes their rows.

    An arrival is an iteration of k6: the first request of it is step 1, and counts from the
    schedule; each further one is intended when the script comes to it. Its memory is three bytes
    for each arrival, and what is under way.
    """

    def __init__(
        self,
        order: LoadOrder,
        schedule: Schedule,
        times_s: NDArray[np.float64],
        stream: K6Stream,
    ) -> None:
        self._order, self._schedule, self._times_s = order, schedule, times_s
        self._stream = stream
        self._waiting: list[K6Request] = []
        # Counted by started iteration; places may only be known to the millisecond.
        self._steps = np.zeros(len(times_s), dtype=np.uint16)
        self._is_taken = np.zeros(len(times_s), dtype=np.bool_)
        self._sent = 0
        self._late = 0
        self._unfinished_count = 0
        self._due_until_s = math.inf

    def stop(self, t_s: float) -> None:
        """Note that k6 was told to stop: arrivals after ``t_s`` are not due any more."""
        self._due_until_s = min(self._due_until_s, t_s)

    def take(self, t0_wall: float, now_s: float, *, is_end: bool) -> list[SampleRow]:
        """Return rows that are certain by now; ``t0_wall`` is t0 in seconds since the epoch."""
        self._waiting.extend(self._stream.take())
        limit = t0_wall + now_s - _PATIENCE_S
        certain = [each for each in self._waiting if is_end or each.begun <= limit]
        if certain:
            self._waiting = [each for each in self._waiting if not is_end and each.begun > limit]
        return [self._row(request, t0_wall) for request in certain]

    def writes(self, t0_wall: float) -> list[LedgerRow]:
        """Return the ledger's new lines."""
        return [
            LedgerRow(write.at - t0_wall, write.kind, write.key, write.outcome)
            for write in self._stream.take_writes()
        ]

    def leftovers(self, now_s: float) -> tuple[list[DropRow], list[SampleRow]]:
        """Return, at the end, the arrivals that were dropped and those that were cut off.

        k6 says how many it dropped. What is due beyond that and left no request was under way
        when the run ended, which only the last ones can have been.
        """
        due = self._due(now_s)
        dropped = len(self._stream.drop_times)
        free = np.flatnonzero(~self._is_taken[:due]).tolist()
        drops = []
        for place in free[:dropped]:
            name, tier, phase = self._labels(place)
            drops.append(DropRow(float(self._times_s[place]), name, tier, phase))
        missing = max(0, due - dropped - self._sent)
        cut_off = [self._unfinished(place) for place in free[dropped : dropped + missing]]
        self._unfinished_count = len(cut_off)
        return drops, cut_off

    def counts(self, t_s: float) -> Counts:
        """Return the counts so far: the schedule's arrivals due by ``t_s`` against k6's."""
        due = self._due(t_s)
        # Arrivals whose first request is held back have been sent all the same.
        held_back = len({each.started for each in self._waiting if not self._step(each)})
        sent = self._sent + held_back + self._unfinished_count
        dropped = len(self._stream.drop_times)
        return Counts(
            scheduled=due,
            sent=sent,
            late=self._late,
            completed=self._sent + held_back,
            dropped=dropped,
            in_flight=max(0, due - sent - dropped),
            queued=0,
        )

    def _due(self, t_s: float) -> int:
        until_s = min(t_s, self._due_until_s)
        return int(np.searchsorted(self._times_s, until_s, side="right"))

    def _step(self, request: K6Request) -> int:
        return int(self._steps[min(request.started, len(self._steps) - 1)])

    def _row(self, request: K6Request, t0_wall: float) -> SampleRow:
        last = len(self._times_s) - 1
        started, place = min(request.started, last), min(self._stream.place_of(request), last)
        self._steps[started] += 1
        step = int(self._steps[started])
        name, _, phase = self._labels(place)
        intended_s = float(self._times_s[place])
        start_s = request.start - t0_wall
        if step == 1:
            self._is_taken[place] = True
            self._sent += 1
            self._late += start_s - intended_s > self._order.load.late_after_s
        first_byte = request.first_byte
        name = request_name(request, self._order.base_url) or name
        return SampleRow(
            intended_s=intended_s if step == 1 else start_s,
            start_s=start_s,
            first_byte_s=None if first_byte is None else first_byte - t0_wall,
            end_s=request.end - t0_wall,
            generator=self._order.generator,
            session=place,
            step=step,
            attempt=1,
            name=name,
            method=request.method or name.partition(" ")[0],
            tier=self._order.tiers.get(name, ""),
            phase=phase,
            outcome=_outcome(request),
            error_kind=request.error_kind or error_kind_of(request),
            degraded=request.degraded,
            status=request.status,
            sent_bytes=None,
            received_bytes=None,
        )

    def _unfinished(self, place: int) -> SampleRow:
        name, tier, phase = self._labels(place)
        return SampleRow(
            intended_s=float(self._times_s[place]),
            start_s=None,
            first_byte_s=None,
            end_s=None,
            generator=self._order.generator,
            session=place,
            step=1,
            attempt=1,
            name=name,
            method=name.partition(" ")[0],
            tier=tier,
            phase=phase,
            outcome=Outcome.ERROR.value,
            error_kind="unfinished",
            degraded="",
            status=0,
            sent_bytes=None,
            received_bytes=None,
        )

    def _labels(self, place: int) -> tuple[str, str, str]:
        """Return the name, tier and phase that the schedule gives to an arrival.

        Without a mix, or where an arrival is a session, no request is known beforehand.
        """
        schedule = self._schedule
        index = int(schedule.journey_index[place])
        name = schedule.journeys[index] if index >= 0 and schedule.is_named else ""
        phase = schedule.phases[schedule.phase_index[place]].name
        return name, self._order.tiers.get(name, ""), phase


def request_name(request: K6Request, base_url: str) -> str:
    """Return a request's key from the name that k6 has for it, which is its URL by default.

    ``METHOD /template`` stays as it is, a URL of the target or a bare path becomes that, and
    whatever else the script calls a request is its name.
    """
    name, base = request.name, base_url.rstrip("/")
    if name.startswith(f"{base}/") or name == base:
        return f"{request.method} {urlsplit(name).path or '/'}"
    return f"{request.method} {name}" if name.startswith("/") else name


def _outcome(request: K6Request) -> str:
    """Return the script's word; without one, what the status alone says."""
    if request.outcome is not None:
        return request.outcome
    return (Outcome.FULL if 200 <= request.status < 400 else Outcome.ERROR).value
