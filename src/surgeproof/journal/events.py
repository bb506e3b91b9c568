"""``events.jsonl``: what happened, append-only, one JSON object a line.

Each line is ``{"t_s": seconds since t0, "wall": ISO UTC, "event": name, …}``. A fault's events
are forced to the disk before the call that they announce and after its answer. What is *not*
promised: an event written right before the machine itself dies may be missing or cut.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from surgeproof.clock import Clock

__all__ = ["EVENT_NAMES", "Event", "EventLog", "read_events"]

EVENT_NAMES = frozenset(
    {
        "run.started",
        "run.ended",
        "stack.ready",
        "steady.proved",
        "phase.started",
        "phase.ended",
        "fault.intent",
        "fault.applied",
        "fault.undone",
        "fault.verified",
        "fault.failed",
        "gate.breached",
        "guard.aborted",
        "generator.started",
        "generator.ended",
        "generator.lost",
        "ledger.read_back",
        "proxy.restarted",
        "log",
    }
)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the journal; ``fields`` is everything but t_s, wall and event."""

    t_s: float
    wall: str
    event: str
    fields: dict[str, object]


class EventLog:
    """The writer of a run's events; one per run, safe to use from several threads.

    ``t0`` is the run's zero on the clock's monotonic axis. Events before it have negative t_s.
    """

    def __init__(self, path: Path, clock: Clock, t0: float) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8")
        self.t0 = t0

    def now(self) -> float:
        """Return seconds since t0."""
        return self._clock.monotonic() - self.t0

    def append(self, event: str, *, sync: bool = False, **fields: object) -> Event:
        """Write one event and hand it back; with ``sync`` it is on the disk on return.

        Raises:
            ValueError: the event's name is not in `EVENT_NAMES`.
            OSError: the disk is full or gone.
        """
        if event not in EVENT_NAMES:
            raise ValueError(f"unknown event {event!r}")
        with self._lock:
            made = Event(
                round(self.now(), 6),
                self._clock.utc_now().isoformat(timespec="milliseconds"),
                event,
                dict(fields),
            )
            line = {"t_s": made.t_s, "wall": made.wall, "event": event, **fields}
            self._file.write(json.dumps(line, default=str) + "\n")
            self._file.flush()
            if sync or event.startswith("fault."):
                os.fsync(self._file.fileno())
        return made

    def rebase(self, t0: float) -> None:
        """Move the zero to ``t0``, the load's start; events already written are shifted with it.

        The stack comes up before anybody can know when the load will start, so those events
        are first counted from the log's own start and end with negative t_s.
        """
        with self._lock:
            shift = self.t0 - t0
            self._file.close()
            lines = []
            for event in read_events(self._path):
                line = {"t_s": round(event.t_s + shift, 6), "wall": event.wall}
                lines.append(json.dumps({**line, "event": event.event, **event.fields}) + "\n")
            fresh = self._path.with_name(self._path.name + ".part")
            fresh.write_text("".join(lines), encoding="utf-8")
            fresh.replace(self._path)
            self._file = self._path.open("a", encoding="utf-8")
            self.t0 = t0

    def close(self) -> None:
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


def read_events(path: Path) -> Iterator[Event]:
    """Yield the events of a file in order; a last line cut by a crash is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                data = json.loads(line)
            except ValueError:
                continue
            t_s, wall = float(data.pop("t_s")), str(data.pop("wall"))
            yield Event(t_s, wall, str(data.pop("event")), data)
