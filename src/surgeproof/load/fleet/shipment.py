"""Samples and drops on their way: Arrow record batches to bytes and back."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from surgeproof.errors import FormatError

__all__ = ["pack", "unpack"]


def pack(batches: Sequence[pa.RecordBatch]) -> bytes:
    """Return record batches of one schema as an Arrow IPC stream, empty if there is no row."""
    filled = [batch for batch in batches if batch.num_rows]
    if not filled:
        return b""
    sink = pa.BufferOutputStream()
    # Each batch has tables of words of its own.
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    with pa.ipc.new_stream(sink, filled[0].schema, options=options) as stream:
        for batch in filled:
            stream.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def unpack(data: bytes, schema: pa.Schema) -> list[pa.RecordBatch]:
    """Return the record batches of a stream that `pack` made.

    Raises:
        FormatError: it is no Arrow stream, or has other columns.
    """
    if not data:
        return []
    try:
        with pa.ipc.open_stream(pa.BufferReader(data)) as stream:
            batches = list(stream)
    except (pa.ArrowInvalid, OSError) as error:
        raise FormatError(f"a shipment holds no Arrow stream: {error}") from error
    if not stream.schema.equals(schema):
        raise FormatError(
            f"a shipment has other columns than {', '.join(schema.names)}; "
            "are master and workers of one version?"
        )
    return batches
