"""A small histogram of durations for the live view; verdicts use the raw samples instead."""

from __future__ import annotations

import math
from collections import deque
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Histogram", "RollingHistogram"]

# Each bucket is 2^(1/64) wide: a quantile is at most 0.55 % away from the value it stands for.
_BUCKETS_PER_OCTAVE = 64
_SMALLEST_S = 1e-6


class Histogram:
    """Counts of durations in logarithmic buckets; memory does not grow with the count."""

    __slots__ = ("_counts", "count")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0

    def add(self, duration_s: float) -> None:
        """Count one duration; all up to a microsecond (or negative) are one bucket."""
        bucket = round(math.log2(max(duration_s, _SMALLEST_S)) * _BUCKETS_PER_OCTAVE)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self.count += 1

    def add_all(self, durations_s: NDArray[np.float64]) -> None:
        """Count many durations; the same as `add` of each."""
        if not len(durations_s):
            return
        octaves = np.log2(np.maximum(durations_s, _SMALLEST_S))
        buckets, counts = np.unique(np.rint(octaves * _BUCKETS_PER_OCTAVE), return_counts=True)
        for bucket, count in zip(buckets.astype(int).tolist(), counts.tolist(), strict=True):
            self._counts[bucket] = self._counts.get(bucket, 0) + count
        self.count += len(durations_s)

    def merge(self, other: Self) -> None:
        """Count everything that another histogram has counted."""
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count
        self.count += other.count

    def quantile(self, q: float) -> float | None:
        """Return the smallest bucket that at least a share ``q`` does not exceed; None if empty."""
        rank = max(1, math.ceil(q * self.count))
        for bucket in sorted(self._counts):
            rank -= self._counts[bucket]
            if rank <= 0:
                return float(2 ** (bucket / _BUCKETS_PER_OCTAVE))
        return None


class RollingHistogram:
    """The last few seconds of a stream of durations, and all of it."""

    def __init__(self, seconds: int = 5) -> None:
        self._seconds: deque[Histogram] = deque([Histogram()], maxlen=seconds)
        self._before = Histogram()

    def add(self, duration_s: float) -> None:
        self._seconds[-1].add(duration_s)

    def add_all(self, durations_s: NDArray[np.float64]) -> None:
        self._seconds[-1].add_all(durations_s)

    def next_second(self) -> None:
        """Begin a new second; the oldest leaves the rolling view."""
        if len(self._seconds) == self._seconds.maxlen:
            self._before.merge(self._seconds[0])
        self._seconds.append(Histogram())

    def recent(self, q: float) -> float | None:
        """Return a quantile of the last seconds, None where they are empty."""
        return self._merged(Histogram()).quantile(q)

    def whole(self, q: float) -> float | None:
        """Return a quantile of everything."""
        whole = Histogram()
        whole.merge(self._before)
        return self._merged(whole).quantile(q)

    def _merged(self, into: Histogram) -> Histogram:
        for second in self._seconds:
            into.merge(second)
        return into
