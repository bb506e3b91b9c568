"""The pulse: one line a second about how the load goes, for the live view and for health."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surgeproof.load.histogram import RollingHistogram
from surgeproof.load.recorder import OUTCOMES, SampleRow
from surgeproof.model.words import Outcome

__all__ = ["Counts", "Pulse"]

_BAD = [OUTCOMES.index(outcome) for outcome in (Outcome.ERROR, Outcome.WRONG)]


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of arrivals since t0, and what is under way now."""

    scheduled: int
    sent: int
    late: int
    completed: int
    dropped: int
    in_flight: int
    queued: int


class Pulse:
    """Gathers what a pulse line says.

    Counts are of the whole run; quantiles cover the last five seconds and ``cpu_ratio`` the time
    since the line before. The last line (``"end": true``) has all of them over the whole run.
    """

    def __init__(self) -> None:
        self._response = RollingHistogram()
        self._lag = RollingHistogram()
        self._loop_lag = RollingHistogram()
        self._requests = 0
        self._errors = 0
        self._began: tuple[float, float | None] = (0.0, None)
        self._before: tuple[float, float | None] = (0.0, None)

    def begin(self, wall_s: float, cpu_s: float | None) -> None:
        """Start counting processor time (None: not known); both in seconds on any fixed axis."""
        self._began = self._before = (wall_s, cpu_s)

    def sample(self, row: SampleRow) -> None:
        """Count one attempt; ``errors`` are those with outcome error or wrong."""
        self._requests += 1
        self._errors += row.outcome in {"error", "wrong"}
        if row.end_s is not None:
            self._response.add(row.end_s - row.intended_s)

    def rows(self, rows: NDArray[np.void]) -> None:
        """Count many attempts (`surgeproof.load.recorder.SAMPLE_ROW`) and the lag of arrivals."""
        self._requests += len(rows)
        self._errors += int(np.count_nonzero(np.isin(rows["outcome"], _BAD)))
        response_s = rows["end_s"] - rows["intended_s"]
        self._response.add_all(response_s[~np.isnan(response_s)])
        first = rows[(rows["step"] == 1) & (rows["attempt"] == 1)]
        lag_s = first["start_s"] - first["intended_s"]
        self._lag.add_all(lag_s[~np.isnan(lag_s)])

    def lag(self, lag_s: float) -> None:
        """Count how late an arrival started."""
        self._lag.add(lag_s)

    def loop_lag(self, lag_s: float) -> None:
        """Count how late the event loop woke."""
        self._loop_lag.add(lag_s)

    def line(
        self,
        t_s: float,
        counts: Counts,
        wall_s: float,
        cpu_s: float | None,
        *,
        is_end: bool = False,
    ) -> dict[str, object]:
        """Return the line, and begin the next second. Missing quantiles are null."""
        wall_before_s, cpu_before_s = self._began if is_end else self._before
        wall = wall_s - wall_before_s
        cpu_ratio = None
        if cpu_s is not None and cpu_before_s is not None and wall > 0:
            cpu_ratio = round((cpu_s - cpu_before_s) / wall, 4)
        self._before = (wall_s, cpu_s)
        parts = {
            "p99_s": self._response,
            "loop_lag_p99_s": self._loop_lag,
            "lag_p99_s": self._lag,
        }
        line: dict[str, object] = {
            "t_s": round(t_s, 6),
            "scheduled": counts.scheduled,
            "sent": counts.sent,
            "late": counts.late,
            "completed": counts.completed,
            "dropped": counts.dropped,
            "requests": self._requests,
            "errors": self._errors,
            "in_flight": counts.in_flight,
            "queued": counts.queued,
            "cpu_ratio": cpu_ratio,
        }
        for name, histogram in parts.items():
            line[name] = histogram.whole(0.99) if is_end else histogram.recent(0.99)
            histogram.next_second()
        if is_end:
            line["end"] = True
        return line
