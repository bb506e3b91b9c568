"""Log lines as JSON on standard output, never at the cost of a request.

Lines go through a bounded queue to a writer thread: when the reader of the pipe is slow, lines
are dropped and counted instead of stopping the event loop.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TextIO

import msgspec

from target_app.clock import Clock

__all__ = ["JsonLog", "LoggingBridge"]

_ENCODER = msgspec.json.Encoder(enc_hook=str)


class JsonLog:
    """Writes one JSON object a line; ``dropped`` counts lines that found the queue full.

    With ``is_sync`` (the defect sync_logging) a line is written before its event goes on.
    """

    def __init__(
        self,
        stream: TextIO,
        service: str,
        clock: Clock,
        *,
        capacity: int = 5000,
        is_sync: bool = False,
    ) -> None:
        self.dropped = 0
        self._is_sync = is_sync
        self._stream = stream
        self._service = service
        self._clock = clock
        self._lines: queue.Queue[bytes | None] = queue.Queue(capacity)
        self._writer: threading.Thread | None = None

    def start(self) -> None:
        """Start the writer thread."""
        self._writer = threading.Thread(target=self._write, name="json-log", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Write what is queued and stop, within half a second."""
        if self._writer is None:
            return
        self._put(None)
        self._writer.join(timeout=0.5)
        self._writer = None

    def info(self, event: str, **fields: object) -> None:
        """Log an ordinary event."""
        self._log("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log something that was handled but should not be."""
        self._log("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log something that failed a request or a task."""
        self._log("error", event, fields)

    def _log(self, level: str, event: str, fields: dict[str, object]) -> None:
        record = {
            "at": round(self._clock.wall(), 3),
            "service": self._service,
            "level": level,
            "event": event,
            **fields,
        }
        self._put(_ENCODER.encode(record))

    def _put(self, line: bytes | None) -> None:
        if self._is_sync and line is not None:
            self._write_line(line)
            return
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write_line(line)

    def _write_line(self, line: bytes) -> None:
        try:
            self._stream.write(line.decode() + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # The reader is gone; the service goes on without its log.
            self.dropped += 1


class LoggingBridge(logging.Handler):
    """Hands the warnings of libraries that use ``logging`` to the JSON log."""

    def __init__(self, log: JsonLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        fields: dict[str, object] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info is not None and record.exc_info[1] is not None:
            fields["exception"] = repr(record.exc_info[1])
        if record.levelno >= logging.ERROR:
            self._log.error("library", **fields)
        else:
            self._log.warning("library", **fields)
