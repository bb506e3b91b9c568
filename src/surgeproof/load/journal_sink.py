"""A generator process's journal files: samples, drops, ledger and pulse."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import pyarrow as pa

from surgeproof.journal.samples import DROP_SCHEMA, SAMPLE_SCHEMA, BatchWriter
from surgeproof.load.recorder import DropRow, LedgerRow, SampleRow

__all__ = ["JournalSink"]


class JournalSink:
    """The journal files of generator ``number``; without a folder everything is let go.

    Not safe between threads. What was given before the last `flush` survives a kill.
    """

    def __init__(self, folder: Path | None, number: int) -> None:
        self._samples: BatchWriter | None = None
        self._drops: BatchWriter | None = None
        self._lines: dict[str, IO[str]] = {}
        if folder is None:
            return
        self._samples = BatchWriter(folder / f"samples-{number}.arrow", SAMPLE_SCHEMA)
        self._drops = BatchWriter(folder / f"drops-{number}.arrow", DROP_SCHEMA)
        for kind in ("pulse", "ledger"):
            self._lines[kind] = (folder / f"{kind}-{number}.jsonl").open("a", encoding="utf-8")

    def sample(self, row: SampleRow) -> None:
        if self._samples is not None:
            self._samples.add(row._asdict())

    def drop(self, row: DropRow) -> None:
        if self._drops is not None:
            self._drops.add(row._asdict())

    def sample_batch(self, batch: pa.RecordBatch) -> None:
        """Write samples through to the file."""
        if self._samples is not None:
            self._samples.write(batch)

    def drop_batch(self, batch: pa.RecordBatch) -> None:
        """Write dropped arrivals through to the file."""
        if self._drops is not None:
            self._drops.write(batch)

    def ledger(self, rows: Iterable[LedgerRow]) -> None:
        """Write ledger lines through to the file: they must outlive this process."""
        for row in rows:
            self._write("ledger", row._asdict())
        if "ledger" in self._lines:
            self._lines["ledger"].flush()

    def pulse(self, values: Mapping[str, object]) -> None:
        """Write one line for the live view."""
        self._write("pulse", values)
        if "pulse" in self._lines:
            self._lines["pulse"].flush()

    def flush(self) -> None:
        """Make everything given so far readable."""
        for writer in (self._samples, self._drops):
            if writer is not None:
                writer.flush()

    def close(self) -> None:
        for writer in (self._samples, self._drops):
            if writer is not None:
                writer.close()
        for file in self._lines.values():
            file.close()

    def _write(self, kind: str, values: Mapping[str, object]) -> None:
        if kind in self._lines:
            self._lines[kind].write(json.dumps(values, allow_nan=False) + "\n")
