"""k6's requests as rows of the journal, on the run's own time axis."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from surgeproof.load.handover import LoadOrder
from surgeproof.load.k6_output import K6Request, K6Stream, error_kind_of
from surgeproof.load.pulse import Counts
from surgeproof.load.recorder import DropRow, SampleRow
from surgeproof.load.schedule import Schedule
from surgeproof.model.words import Outcome

__all__ = ["K6Rows"]

# k6 writes its output several times a second: a drop may be read this long after a request that
# started later, and which arrival a request is depends on the drops before it.
_PATIENCE_S = 1.5


class K6Rows:
    """Holds requests back until the drops before them must be known, then makes their rows."""

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
        self._steps: dict[int, int] = {}
        self._late = 0
        self._completed = 0
        self._unfinished_count = 0
        self._due_until_s = math.inf

    def stop(self, t_s: float) -> None:
        """Note that k6 was told to stop: arrivals after ``t_s`` are not due any more."""
        self._due_until_s = min(self._due_until_s, t_s)

    def take(self, t0_wall: float, now_s: float, *, is_end: bool) -> list[SampleRow]:
        """Return rows that are certain by now; ``t0_wall`` is t0 in seconds since the epoch."""
        self._waiting.extend(self._stream.take())
        limit = t0_wall + now_s - _PATIENCE_S
        certain = [each for each in self._waiting if is_end or each.start <= limit]
        self._waiting = [each for each in self._waiting if not is_end and each.start > limit]
        return [self._row(request, t0_wall) for request in certain]

    def leftovers(self, now_s: float) -> tuple[list[DropRow], list[SampleRow]]:
        """Return, at the end, the arrivals that were dropped and those that were cut off.

        k6 says how many it dropped. What is due beyond that and left no request was under way
        when the run ended, which only the last ones can have been.
        """
        free = [place for place in range(self._due(now_s)) if place not in self._steps]
        dropped = len(self._stream.drop_times)
        drops = []
        for place in free[:dropped]:
            name, tier, phase = self._labels(place)
            drops.append(DropRow(float(self._times_s[place]), name, tier, phase))
        cut_off = [self._unfinished(place) for place in free[dropped:]]
        self._unfinished_count = len(cut_off)
        return drops, cut_off

    def counts(self, t_s: float) -> Counts:
        """Return the counts so far: the schedule's arrivals due by ``t_s`` against k6's."""
        due = self._due(t_s)
        # Requests held back have been sent all the same (each is one arrival in this first cut).
        held_back = len(self._waiting)
        sent = len(self._steps) + held_back + self._unfinished_count
        dropped = len(self._stream.drop_times)
        return Counts(
            scheduled=due,
            sent=sent,
            late=self._late,
            completed=self._completed + held_back,
            dropped=dropped,
            in_flight=max(0, due - sent - dropped),
            queued=0,
        )

    def _due(self, t_s: float) -> int:
        until_s = min(t_s, self._due_until_s)
        return int(np.searchsorted(self._times_s, until_s, side="right"))

    def _row(self, request: K6Request, t0_wall: float) -> SampleRow:
        place = min(self._stream.place_of(request), len(self._times_s) - 1)
        step = self._steps[place] = self._steps.get(place, 0) + 1
        name, _, phase = self._labels(place)
        intended_s = float(self._times_s[place])
        start_s = request.start - t0_wall
        if step == 1:
            self._completed += 1
            self._late += start_s - intended_s > self._order.load.late_after_s
        first_byte = request.first_byte
        name = request.name or name
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
            method=request.method,
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
        schedule = self._schedule
        index = int(schedule.journey_index[place])
        name = schedule.journeys[index] if index >= 0 else ""
        phase = schedule.phases[schedule.phase_index[place]].name
        return name, self._order.tiers.get(name, ""), phase


def _outcome(request: K6Request) -> str:
    """Return the script's word; without one, what the status alone says."""
    if request.outcome is not None:
        return request.outcome
    return (Outcome.FULL if 200 <= request.status < 400 else Outcome.ERROR).value
