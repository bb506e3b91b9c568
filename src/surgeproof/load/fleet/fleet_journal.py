"""What the master journals for its workers, so that a run reads as one of local generators.

Worker ``n`` has ``samples-<n>.arrow``, ``drops-<n>.arrow``, ``ledger-<n>.jsonl`` and
``pulse-<n>.jsonl``. ``drops-unknown.arrow`` holds, at the end, every arrival that was due and that
no worker has told the fate of; ``fleet.jsonl`` what happened among the workers, for the harness to
put among the run's events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from surgeproof.journal.samples import DROP_SCHEMA, SAMPLE_SCHEMA, BatchWriter
from surgeproof.load.batches import drop_batch
from surgeproof.load.fleet.dealing import Dealing
from surgeproof.load.fleet.messages import Shipment
from surgeproof.load.fleet.shipment import unpack
from surgeproof.load.recorder import Recorder
from surgeproof.load.schedule import Schedule

__all__ = ["EVENTS_FILE", "FleetJournal"]

EVENTS_FILE = "fleet.jsonl"
# Half of the schedule's grid of nanoseconds: a drop's moment names its slot within this.
_HALF_TICK_S = 5e-10


class FleetJournal:
    """The journal of a fleet's run; without a folder it only keeps count.

    ``tiers`` maps the names of requests to tiers. Not safe between threads.
    """

    def __init__(self, folder: Path | None, schedule: Schedule, tiers: Mapping[str, str]) -> None:
        self._folder, self._schedule, self._tiers = folder, schedule, tiers
        self._files: dict[int, _WorkerFiles] = {}
        self._told = np.zeros(len(schedule), dtype=np.bool_)
        self._events: IO[str] | None = None
        if folder is not None:
            self._events = (folder / EVENTS_FILE).open("a", encoding="utf-8")

    def take(self, worker: int, shipment: Shipment) -> None:
        """Journal a worker's shipment; what it holds survives a kill from now on.

        Raises:
            FormatError: it holds something else than samples and drops.
        """
        samples = unpack(shipment.samples, SAMPLE_SCHEMA)
        drops = unpack(shipment.drops, DROP_SCHEMA)
        for batch in samples:
            sessions = batch.column("session").to_numpy()
            self._told[sessions[sessions < len(self._told)].astype(np.int64)] = True
        for batch in drops:
            self._tell_drops(batch.column("intended_s").to_numpy())
        if self._folder is not None:
            if worker not in self._files:
                self._files[worker] = _WorkerFiles(self._folder, worker)
            self._files[worker].write(samples, drops, shipment)

    def unknown(self, worker: int, dealing: Dealing, until_s: float) -> int:
        """Return how many arrivals before ``until_s`` are a worker's and have no known fate."""
        count = int(np.searchsorted(self._schedule.times_s, until_s))
        slots = np.flatnonzero(~self._told[:count])
        owners = dealing.owners(slots, self._schedule.times_s[slots])
        return int(np.count_nonzero(owners == worker))

    def due(self, until_s: float) -> int:
        """Return how many arrivals the schedule has before a moment."""
        return int(np.searchsorted(self._schedule.times_s, until_s))

    def event(self, name: str, **fields: object) -> None:
        """Note what happened among the workers."""
        if self._events is not None:
            line = json.dumps({"event": name, **fields}, allow_nan=False, default=str)
            self._events.write(line + "\n")
            self._events.flush()

    def finish(self, end_s: float) -> int:
        """Write the arrivals due by ``end_s`` of unknown fate as dropped; return how many."""
        schedule = self._schedule
        slots = np.flatnonzero(~self._told[: self.due(end_s)])
        if self._folder is not None and len(slots):
            with BatchWriter(self._folder / "drops-unknown.arrow", DROP_SCHEMA) as writer:
                writer.write(drop_batch(slots, schedule, Recorder(self._tiers)))
        self._told[slots] = True
        return len(slots)

    def close(self) -> None:
        for files in self._files.values():
            files.close()
        if self._events is not None:
            self._events.close()

    def _tell_drops(self, intended_s: Any) -> None:
        """Mark as many slots of each moment as were dropped there."""
        times_s = self._schedule.times_s
        lows = np.searchsorted(times_s, intended_s - _HALF_TICK_S)
        moments, counts = np.unique(lows[lows < len(times_s)], return_counts=True)
        is_plain = (counts == 1) & ~self._told[moments]
        self._told[moments[is_plain]] = True
        # Several arrivals may be intended at one nanosecond.
        for low, count in zip(moments[~is_plain], counts[~is_plain], strict=True):
            high = np.searchsorted(times_s, times_s[low] + _HALF_TICK_S)
            self._told[low + np.flatnonzero(~self._told[low:high])[:count]] = True


class _WorkerFiles:
    """The journal files of one worker, as a generator of its own would write them."""

    def __init__(self, folder: Path, number: int) -> None:
        self._streams = {
            "samples": BatchWriter(folder / f"samples-{number}.arrow", SAMPLE_SCHEMA),
            "drops": BatchWriter(folder / f"drops-{number}.arrow", DROP_SCHEMA),
        }
        self._lines = {
            kind: (folder / f"{kind}-{number}.jsonl").open("a", encoding="utf-8")
            for kind in ("ledger", "pulse")
        }

    def write(
        self, samples: list[pa.RecordBatch], drops: list[pa.RecordBatch], shipment: Shipment
    ) -> None:
        # The ledger first: what it names must be known whenever its samples are.
        for kind, lines in (("ledger", shipment.ledger), ("pulse", shipment.pulse)):
            self._lines[kind].writelines(line + "\n" for line in lines)
            self._lines[kind].flush()
        for kind, batches in (("samples", samples), ("drops", drops)):
            for batch in batches:
                self._streams[kind].write(batch)
            self._streams[kind].flush()

    def close(self) -> None:
        for stream in self._streams.values():
            stream.close()
        for file in self._lines.values():
            file.close()
