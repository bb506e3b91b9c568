"""The last few durations of an edge, for the health page."""

from __future__ import annotations

from collections import deque

__all__ = ["RecentDurations"]


class RecentDurations:
    """Keeps the newest ``size`` durations (seconds)."""

    def __init__(self, size: int = 256) -> None:
        self._durations_s: deque[float] = deque(maxlen=size)

    def add(self, duration_s: float) -> None:
        """Remember one duration and forget the oldest if full."""
        self._durations_s.append(duration_s)

    def quantile(self, ratio: float) -> float | None:
        """Return the nearest-rank quantile, or ``None`` while nothing was measured."""
        if not self._durations_s:
            return None
        ordered = sorted(self._durations_s)
        return ordered[min(int(ratio * len(ordered)), len(ordered) - 1)]
