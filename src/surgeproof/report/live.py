"""Progress while a rehearsal runs: a live panel on a terminal, plain lines everywhere else.

A view is fed snapshots as often as the caller likes and decides itself when to write. It never
ends a run: a stream that breaks is left alone from then on.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Protocol, TextIO

from surgeproof.clock import Clock, SystemClock
from surgeproof.report.live_state import LiveState, edges, line
from surgeproof.report.live_terminal import TerminalView
from surgeproof.report.wording import plain, span_text

__all__ = ["BeatingView", "LiveState", "LiveView", "PlainView", "open_live_view"]

# A line is due every 5 s; what comes just before that must not put it off beyond.
_LINE_EVERY_S = 4.5
_BEAT_EVERY_S = 0.25


class LiveView(Protocol):
    """What shows the progress of a run."""

    def say(self, text: str) -> None:
        """Tell what the harness does next, at once."""
        ...

    def update(self, state: LiveState) -> None:
        """Take a snapshot; it is shown now, later or not at all."""
        ...

    def close(self) -> None:
        """Let go of the stream; may be called twice."""
        ...


class QuietView(LiveView, Protocol):
    """A view that has something to show even while nothing is said."""

    def beat(self) -> None:
        """Show that the run goes on, if it is time to."""
        ...


def open_live_view(
    stream: TextIO, environ: Mapping[str, str], clock: Clock | None = None
) -> LiveView:
    """Return the panel for a terminal, plain lines for pipes, files, CI and dumb terminals.

    The view beats in a thread of its own until it is closed: starting a stack takes its time,
    and silence looks like a hang.
    """
    clock = clock or SystemClock()
    is_ci = environ.get("CI", "").lower() not in {"", "0", "false"}
    if stream.isatty() and not is_ci and environ.get("TERM") != "dumb":
        return BeatingView(TerminalView(stream, clock, no_color=bool(environ.get("NO_COLOR"))))
    return BeatingView(PlainView(stream, clock))


class BeatingView:
    """A view that is called by two threads: the run's, and one that beats while that is busy."""

    def __init__(self, view: QuietView) -> None:
        self._view = view
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="live-view", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        with self._lock:
            self._view.say(text)

    def update(self, state: LiveState) -> None:
        with self._lock:
            self._view.update(state)

    def close(self) -> None:
        self._closed.set()
        self._thread.join(2 * _BEAT_EVERY_S)
        with self._lock:
            self._view.close()

    def _beat(self) -> None:
        while not self._closed.wait(_BEAT_EVERY_S):
            with self._lock:
                self._view.beat()


class PlainView:
    """One line every 5 s, and one for each edge of a phase or fault and each thing said."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream: TextIO | None = stream
        self._clock = clock
        self._last: LiveState | None = None
        self._said = ""
        self._said_at_s = self._line_due_s = self._beat_due_s = clock.monotonic()

    def say(self, text: str) -> None:
        self._said, self._said_at_s = plain(text), self._clock.monotonic()
        self._write(self._said)

    def update(self, state: LiveState) -> None:
        self._said = ""
        begun = tuple(edges(self._last, state))
        self._last = state
        for text in begun:
            self._write(text)
        now_s = self._clock.monotonic()
        if now_s >= self._line_due_s:
            self._line_due_s = now_s + _LINE_EVERY_S
            self._write(line(state))

    def beat(self) -> None:
        now_s = self._clock.monotonic()
        if self._said and now_s >= self._beat_due_s:
            self._write(f"{self._said} … {span_text(now_s - self._said_at_s)}")

    def close(self) -> None:
        self._stream = None

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        self._beat_due_s = self._clock.monotonic() + _LINE_EVERY_S
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads any more (a closed pipe), which is no reason to end a rehearsal.
            self._stream = None
