"""Holds k6 back until the run begins: the entry script asks over HTTP, and the answer waits."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from surgeproof.load.handover import ready_file, start_file

__all__ = ["StartGate"]

# k6 begins its first second this long after its preparation ends (2 ms measured on one machine).
_LEAD_S = 0.002
_LOOK_S = 0.01


class StartGate:
    """A local server; the first who asks is prepared, and is answered at t0.

    ``t0`` is None until the harness has said it; seconds on CLOCK_MONOTONIC.
    """

    def __init__(self, samples: Path, generator: int, t0: float | None) -> None:
        self.t0 = t0
        self._ended = threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ready_file(samples, generator).write_text("", encoding="utf-8")
                gate.wait_for_start(samples)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/start"

    def wait_for_start(self, samples: Path) -> None:
        """Return when the run begins, or the gate is closed."""
        path = start_file(samples)
        while self.t0 is None and not self._ended.wait(_LOOK_S):
            if path.exists():
                self.t0 = float(json.loads(path.read_text(encoding="utf-8"))["t0"])
        if self.t0 is not None:
            self._ended.wait(max(0.0, self.t0 - _LEAD_S - time.monotonic()))

    def open(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Answer whoever still waits, and end; idempotent after `open`."""
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
