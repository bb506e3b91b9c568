"""Packed samples and dropped slots as the record batches of the journal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from surgeproof.journal.samples import DROP_SCHEMA, SAMPLE_SCHEMA
from surgeproof.load.recorder import OUTCOMES, Recorder
from surgeproof.load.schedule import Schedule

__all__ = ["drop_batch", "sample_batch"]

_NEVER_NULL = ("session", "sent_bytes", "received_bytes", "step", "attempt", "status")


def sample_batch(
    rows: NDArray[np.void], recorder: Recorder, phases: Sequence[str], generator: int
) -> pa.RecordBatch:
    """Return samples (`surgeproof.load.recorder.SAMPLE_ROW`) as a batch of the journal's schema.

    Costs some ten nanoseconds a row and column; NaN becomes null.
    """
    count = len(rows)
    # One copy apiece: the rows' own columns are not contiguous, and Arrow wants them so.
    column = {name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()}
    labels = np.array(
        [(label.name, label.method, label.tier) for label in recorder.labels], dtype=np.int32
    ).reshape(-1, 3)[column["label"]]
    arrays: dict[str, pa.Array] = {
        name: pa.array(column[name], from_pandas=True)
        for name in ("intended_s", "start_s", "first_byte_s", "end_s")
    }
    arrays |= {name: pa.array(column[name]) for name in _NEVER_NULL}
    arrays |= {
        "generator": pa.array(np.full(count, generator, dtype=np.uint16)),
        "name": _words(labels[:, 0], recorder.names.words),
        "method": _words(labels[:, 1], recorder.methods.words),
        "tier": _words(labels[:, 2], recorder.tiers.words),
        "phase": _words(column["phase"], phases),
        "outcome": _words(column["outcome"], [str(outcome) for outcome in OUTCOMES]),
        "error_kind": _words(column["error_kind"], recorder.error_kinds.words),
        "degraded": _words(column["degraded"], recorder.degraded.words),
    }
    return pa.RecordBatch.from_arrays(
        [
            arrays[field.name] if field.name in arrays else pa.nulls(count, field.type)
            for field in SAMPLE_SCHEMA
        ],
        schema=SAMPLE_SCHEMA,
    )


def drop_batch(slots: NDArray[np.int64], schedule: Schedule, recorder: Recorder) -> pa.RecordBatch:
    """Return arrivals that were never sent as a batch of the journal's schema.

    An arrival of a journey of several requests goes by the journey's name, and has no tier.
    """
    journeys = schedule.journeys
    tiers = recorder.tiers_of(journeys)
    phases = [phase.name for phase in schedule.phases]
    picks = schedule.journey_index[slots]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(schedule.times_s[slots]),
            _words(picks, journeys),
            _words(picks, tiers),
            _words(schedule.phase_index[slots], phases),
        ],
        schema=DROP_SCHEMA,
    )


def _words(codes: NDArray[np.integer], words: Sequence[str]) -> pa.DictionaryArray:
    # A copy of the table: the other thread may add a word while it is being read.
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32)), pa.array(list(words), pa.string())
    )
