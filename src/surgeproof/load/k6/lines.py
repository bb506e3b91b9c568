"""A pipe read line by line without ever waiting long: the reader has a pulse to keep."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
from typing import IO

__all__ = ["LinePipe"]

# What the kernel keeps for us while we are busy; more than that makes the writer wait.
_PIPE_BYTES = 1 << 20


class LinePipe:
    """The whole lines of a pipe. At most one chunk and one unfinished line are held."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._rest = b""
        self.is_over = False
        with contextlib.suppress(OSError):
            # An unprivileged user's share of such memory may be used up; then it stays small.
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def read(self, timeout_s: float) -> list[bytes]:
        """Return the lines that came, waiting for the first up to ``timeout_s``."""
        ready, _, _ = select.select([self._pipe], [], [], timeout_s)
        if not ready:
            return []
        chunk = os.read(self._pipe.fileno(), _PIPE_BYTES)
        if not chunk:
            self.is_over = True
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        return lines

    def close(self) -> None:
        self._pipe.close()
