"""Samples on disk: Arrow IPC streams, one per generator process, flushed each second.

``samples/samples-<n>.arrow`` holds attempts, ``samples/drops-<n>.arrow`` arrivals never sent.
A stream that a killed process left without its end marker reads up to its last whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from surgeproof.errors import FormatError
from surgeproof.model.samples import Drops, Labels, Samples

__all__ = ["DROP_SCHEMA", "SAMPLE_SCHEMA", "BatchWriter", "read_drops", "read_samples"]

_WORD = pa.dictionary(pa.int32(), pa.string())

SAMPLE_SCHEMA = pa.schema(
    [
        ("intended_s", pa.float64()),
        ("start_s", pa.float64()),
        ("first_byte_s", pa.float64()),
        ("end_s", pa.float64()),
        ("generator", pa.uint16()),
        ("session", pa.uint64()),
        ("step", pa.uint16()),
        ("attempt", pa.uint8()),
        ("name", _WORD),
        ("method", _WORD),
        ("tier", _WORD),
        ("phase", _WORD),
        ("outcome", _WORD),
        ("error_kind", _WORD),
        ("degraded", _WORD),
        ("status", pa.uint16()),
        ("sent_bytes", pa.uint64()),
        ("received_bytes", pa.uint64()),
        ("items", pa.uint16()),
        ("items_full", pa.uint16()),
        ("trace_id", pa.string()),
    ]
)
DROP_SCHEMA = pa.schema(
    [("intended_s", pa.float64()), ("name", _WORD), ("tier", _WORD), ("phase", _WORD)]
)


class BatchWriter:
    """Rows gathered in memory and written as one record batch at each `flush`.

    Rows are mappings with every column of the schema; None is null. Not safe between threads.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[Mapping[str, object]] = []
        self._file = path.open("wb")
        # Delta or replacement dictionaries: each batch may bring words not seen before.
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
        self._stream = pa.ipc.new_stream(self._file, schema, options=options)
        self._file.flush()

    def add(self, row: Mapping[str, object]) -> None:
        self._rows.append(row)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch of the writer's schema, after the rows gathered so far."""
        self.flush()
        self._stream.write_batch(batch)

    def flush(self) -> int:
        """Write the gathered rows and return how many bytes of the file are now whole."""
        if self._rows:
            rows, self._rows = self._rows, []
            self._stream.write_batch(pa.RecordBatch.from_pylist(rows, schema=self._schema))
        self._file.flush()
        return self._file.tell()

    def close(self) -> None:
        """Flush, write the stream's end and close the file."""
        self.flush()
        self._stream.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_samples(folder: Path) -> Samples:
    """Return every attempt under ``folder``, in order of intended start (empty if none).

    Raises:
        FormatError: a file is no Arrow stream of samples.
    """
    table = _read(sorted(folder.glob("samples-*.arrow")), SAMPLE_SCHEMA)
    order = np.argsort(_numbers(table, "intended_s", np.float64), kind="stable")
    numbers: dict[str, tuple[Any, float]] = {
        "intended_s": (np.float64, np.nan),
        "start_s": (np.float64, np.nan),
        "first_byte_s": (np.float64, np.nan),
        "end_s": (np.float64, np.nan),
        "generator": (np.uint16, 0),
        "session": (np.uint64, 0),
        "step": (np.uint16, 1),
        "attempt": (np.uint8, 1),
        "status": (np.uint16, 0),
        "sent_bytes": (np.uint64, 0),
        "received_bytes": (np.uint64, 0),
        "items": (np.int32, -1),
        "items_full": (np.int32, -1),
    }
    columns: dict[str, Any] = {
        name: _numbers(table, name, kind, null)[order] for name, (kind, null) in numbers.items()
    }
    for name in (
        "name",
        "method",
        "tier",
        "phase",
        "outcome",
        "error_kind",
        "degraded",
    ):
        columns[name] = _labels(table, name).take(order)
    return Samples(**columns)


def read_drops(folder: Path) -> Drops:
    """Return every arrival under ``folder`` that was never sent.

    Raises:
        FormatError: a file is no Arrow stream of drops.
    """
    table = _read(sorted(folder.glob("drops-*.arrow")), DROP_SCHEMA)
    return Drops(
        _numbers(table, "intended_s", np.float64, np.nan),
        _labels(table, "name"),
        _labels(table, "tier"),
        _labels(table, "phase"),
    )


def _read(paths: Sequence[Path], schema: pa.Schema) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    for path in paths:
        with path.open("rb") as file:
            try:
                stream = pa.ipc.open_stream(file)
            except pa.ArrowInvalid as error:
                if path.stat().st_size == 0:
                    continue
                raise FormatError(f"{path} is no Arrow stream: {error}") from error
            if not stream.schema.equals(schema):
                raise FormatError(f"{path} has other columns than {', '.join(schema.names)}")
            batches.extend(_whole_batches(stream.read_next_batch))
    # Streams have dictionaries of their own: plain strings make their batches one table.
    plain = pa.schema(
        [(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in schema]
    )
    tables = [pa.Table.from_batches([batch]).cast(plain) for batch in batches]
    return pa.concat_tables(tables) if tables else plain.empty_table()


def _whole_batches(read_next: Callable[[], pa.RecordBatch]) -> list[pa.RecordBatch]:
    batches = []
    while True:
        try:
            batches.append(read_next())
        except (StopIteration, pa.ArrowInvalid, OSError):
            # The end of the stream, or the half batch of a process that was killed.
            return batches


def _numbers(table: pa.Table, name: str, kind: Any, null: float = np.nan) -> Any:
    # Widened before the gaps are filled: -1 does not fit the file's unsigned counts.
    column = table[name].cast(pa.from_numpy_dtype(kind))
    return column.fill_null(pa.scalar(null, type=column.type)).to_numpy()


def _labels(table: pa.Table, name: str) -> Labels:
    column = table[name].fill_null("").combine_chunks()
    encoded = column.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    return Labels(codes, tuple(encoded.dictionary.to_pylist()))
