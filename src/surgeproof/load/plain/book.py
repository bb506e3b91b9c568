"""The book of a run of plain users: samples, drops and pulse lines, as they go to the journal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import pyarrow as pa

from surgeproof.journal.samples import DROP_SCHEMA, SAMPLE_SCHEMA
from surgeproof.load.handover import LoadOrder
from surgeproof.load.journal_sink import JournalSink
from surgeproof.load.plain.accounts import Accounting, RequestAccounts
from surgeproof.load.plain.answers import Told
from surgeproof.load.plain.arrival import PlainArrival
from surgeproof.load.pulse import Counts, Pulse
from surgeproof.load.recorder import SampleRow
from surgeproof.load.schedule import Schedule
from surgeproof.load.vitals import Vitals
from surgeproof.model.words import Outcome

__all__ = ["Book"]

_LOG = logging.getLogger("surgeproof.load")
_MOST_LOGGED = 20
_GOOD = frozenset({Outcome.FULL, Outcome.DEGRADED})


class Book:
    """Counts arrivals and journals what became of them. Not safe between threads."""

    def __init__(
        self,
        order: LoadOrder,
        schedule: Schedule,
        accounts: Callable[[Book], RequestAccounts],
    ) -> None:
        self._order, self._schedule = order, schedule
        self._sink = JournalSink(order.samples, order.generator)
        self._tiers = order.tiers
        # The request that a journey was last seen to begin with: what a drop of it is named by.
        self._begins_with: dict[str, str] = {}
        self._complaints = 0
        self._rows: list[SampleRow] = []
        self._missed: list[int] = []
        # The first encoding loads what it needs, a tenth of a second long: not during the run.
        batch_of([])
        self._vitals = Vitals()
        self.pulse = Pulse()
        self.accounts = accounts(self)
        self.t0: float | None = None
        self.sent = 0
        self.late = 0
        self.drops = 0

    def begin(self, t0: float, wall_s: float, cpu_s: float) -> None:
        """Reckon times from ``t0`` (CLOCK_MONOTONIC), and processor time from now."""
        self.t0 = t0
        self.accounts.accounting = Accounting(self._order.generator, self._tiers, t0)
        self.pulse.begin(wall_s, cpu_s)
        self._vitals.begin()

    def take(self, row: SampleRow, arrival: PlainArrival) -> None:
        """Journal a sample; the first of an arrival says how late it was sent."""
        if row.step == 1 and row.start_s is not None:
            lag_s = row.start_s - row.intended_s
            self.sent += 1
            self.late += lag_s > self._order.load.late_after_s
            self.pulse.lag(lag_s)
            self._begins_with[arrival.journey] = row.name
        self._rows.append(row)
        self.pulse.sample(row)

    def outside(self, name: str, told: Told) -> None:
        """Log a failure of a request that belongs to no arrival."""
        if told.judgement.outcome in _GOOD or self._complaints >= _MOST_LOGGED:
            return
        self._complaints += 1
        _LOG.warning("%s outside of an arrival: %s %s", name, told.status, told.judgement)

    def dropped(self, index: int) -> None:
        """Count an arrival that made no request, by its place in the schedule."""
        self.drops += 1
        self._missed.append(index)

    def cut_off(self, arrival: PlainArrival) -> None:
        """Count the request that an arrival had under way when the run ended."""
        usual = self._begins_with.get(arrival.journey, arrival.journey)
        self.accounts.cut_off(arrival, usual)

    def beat(
        self, counts: Counts, wall_s: float, cpu_s: float, *, waited: int, is_end: bool = False
    ) -> None:
        """Write the pulse line of a second, or of the whole run.

        ``waited`` is how many requests have had to wait for a connection so far.
        """
        t_s = wall_s - (self.t0 or wall_s)
        line = self.pulse.line(t_s, counts, wall_s, cpu_s, is_end=is_end)
        line["waited"] = waited
        self._sink.pulse({**line, **self._vitals.line(is_end=is_end)})

    def flush(self) -> None:
        """Make everything journalled so far readable."""
        rows, self._rows = self._rows, []
        if rows:
            self._sink.sample_batch(batch_of(rows))
        missed, self._missed = self._missed, []
        if missed:
            self._sink.drop_batch(self._batch_of_drops(missed))
        self._sink.flush()

    def close(self) -> None:
        """Write what is left and close the journal's files."""
        self._vitals.end()
        self.flush()
        self._sink.close()

    def _batch_of_drops(self, missed: Sequence[int]) -> pa.RecordBatch:
        """Return arrivals as drops, each named by the request that its journey begins with."""
        schedule = self._schedule
        names = [self._begins_with.get(journey, journey) for journey in schedule.journeys]
        mine = [names[number] for number in schedule.journey_index[missed].tolist()]
        phases = [schedule.phases[number].name for number in schedule.phase_index[missed].tolist()]
        columns: list[list[object]] = [
            schedule.times_s[missed].tolist(),
            list(mine),
            [self._tiers.get(name, "") for name in mine],
            list(phases),
        ]
        return _batch(columns, DROP_SCHEMA)


def batch_of(rows: Sequence[SampleRow]) -> pa.RecordBatch:
    """Return rows as a batch of the journal's schema, column by column.

    A tenth of what `pyarrow` takes for a list of mappings: while it works no arrival starts.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    return _batch(columns or [[] for _ in SAMPLE_SCHEMA], SAMPLE_SCHEMA)


def _batch(columns: list[list[object]], schema: pa.Schema) -> pa.RecordBatch:
    arrays = [_array(each, kind.type) for each, kind in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: list[object], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode()
    return pa.array(values, kind)
