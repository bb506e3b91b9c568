"""Where a worker's samples, drops, ledger and pulse go: to the master, once a second."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Protocol

import pyarrow as pa

from surgeproof.load.fleet.shipment import pack
from surgeproof.load.recorder import LedgerRow

__all__ = ["Shipper", "ShippingSink"]


class Shipper(Protocol):
    """Takes what a worker has measured to where it is journalled."""

    def ship(
        self, *, samples: bytes, drops: bytes, ledger: list[str], pulse: list[str]
    ) -> None: ...

    def clock_fields(self) -> Mapping[str, object]:
        """Return what a pulse says of the worker's clock."""
        ...


class ShippingSink:
    """What `surgeproof.load.journal_sink.JournalSink` is, for a journal on another machine."""

    def __init__(self, shipper: Shipper) -> None:
        self._shipper = shipper
        self._samples: list[pa.RecordBatch] = []
        self._drops: list[pa.RecordBatch] = []
        self._ledger: list[str] = []
        self._pulse: list[str] = []

    def sample_batch(self, batch: pa.RecordBatch) -> None:
        self._samples.append(batch)

    def drop_batch(self, batch: pa.RecordBatch) -> None:
        self._drops.append(batch)

    def ledger(self, rows: Iterable[LedgerRow]) -> None:
        self._ledger += [json.dumps(row._asdict(), allow_nan=False) for row in rows]

    def pulse(self, values: Mapping[str, object]) -> None:
        line = {**values, **self._shipper.clock_fields()}
        self._pulse.append(json.dumps(line, allow_nan=False))

    def flush(self) -> None:
        """Ship everything given so far."""
        samples, drops, ledger, pulse = self._samples, self._drops, self._ledger, self._pulse
        self._samples, self._drops, self._ledger, self._pulse = [], [], [], []
        self._shipper.ship(samples=pack(samples), drops=pack(drops), ledger=ledger, pulse=pulse)

    def close(self) -> None:
        """Nothing is held open here."""
