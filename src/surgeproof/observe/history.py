"""Metric values over a run: series of (seconds since t0, value), however they were collected."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from surgeproof.model.plan import Window
from surgeproof.observe.exposition import Reading, SeriesKey

__all__ = ["CUMULATIVE_SUFFIXES", "History", "Track", "increase"]

# What a page of the text format names its counters and its histogram parts.
CUMULATIVE_SUFFIXES = ("_total", "_bucket", "_count", "_sum")


@dataclass(slots=True)
class Track:
    """One series: ``times_s`` strictly rising, ``values`` beside it."""

    times_s: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def append(self, t_s: float, value: float) -> None:
        self.times_s.append(t_s)
        self.values.append(value)

    def between(self, start_s: float, end_s: float) -> tuple[list[float], list[float]]:
        """Return times and values in ``(start_s, end_s]``, a PromQL range."""
        low, high = bisect_right(self.times_s, start_s), bisect_right(self.times_s, end_s)
        return self.times_s[low:high], self.values[low:high]

    def over(self, window: Window) -> tuple[list[float], list[float]]:
        """Return the readings that span a window: within it, and the last one before it."""
        low = max(0, bisect_right(self.times_s, window.start_s) - 1)
        high = bisect_left(self.times_s, window.end_s)
        return self.times_s[low:high], self.values[low:high]


@dataclass(slots=True)
class History:
    """All series of a run. Every series has the label ``process`` besides its own."""

    _of_name: dict[str, list[tuple[SeriesKey, Track]]] = field(default_factory=dict)
    _last_scrape_s: dict[str, float] = field(default_factory=dict)
    # The same tracks by process and the page's own key: adding a label to thousands of keys a
    # second would cost more than reading them.
    _of_process: dict[str, dict[SeriesKey, Track]] = field(default_factory=dict)

    def add_page(self, process: str, t_s: float, readings: Iterable[Reading]) -> None:
        """Add one process' page, scraped at ``t_s``; calls must come in order of time.

        A counter that is new on a page of a process which was scraped before stood at zero then:
        that zero is added, or the very first errors of a fault would not count.
        """
        before_s = self._last_scrape_s.get(process)
        known = self._of_process.setdefault(process, {})
        for reading in readings:
            track = known.get(reading.key)
            if track is None:
                track = known[reading.key] = Track()
                full_key = reading.key.with_labels({"process": process})
                self._of_name.setdefault(full_key.name, []).append((full_key, track))
                if before_s is not None and reading.key.name.endswith(CUMULATIVE_SUFFIXES):
                    track.append(before_s, 0.0)
            track.append(t_s, reading.value)
        self._last_scrape_s[process] = t_s

    def select(
        self, name: str, matches: Callable[[SeriesKey], bool] = lambda _: True
    ) -> Iterator[tuple[SeriesKey, Track]]:
        """Yield the series of one metric, in the order they appeared."""
        for key, track in self._of_name.get(name, ()):
            if matches(key):
                yield key, track

    def increases(
        self, name: str, window: Window, where: Mapping[str, str]
    ) -> list[tuple[SeriesKey, float]]:
        """Return how much each counter of a metric rose in a window, where that can be told."""
        found = []
        for key, track in self.select(name, lambda key: _has(key, where)):
            risen = increase(track.over(window)[1])
            if risen is not None:
                found.append((key, risen))
        return found


def increase(values: list[float]) -> float | None:
    """Return how much a counter rose over its readings; None below two readings.

    A reading lower than the one before it is a restart: the counter began again at zero.
    """
    if len(values) < 2:
        return None
    risen = 0.0
    for before, after in pairwise(values):
        risen += after - before if after >= before else after
    return risen


def _has(key: SeriesKey, where: Mapping[str, str]) -> bool:
    return all(key.label(name) == value for name, value in where.items())
