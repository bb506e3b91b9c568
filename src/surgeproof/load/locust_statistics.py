"""Locust's own statistics, filled by the batch instead of by one event per request.

Locust counts a request by calling one function with its numbers (`RequestStats.log_request`).
At tens of thousands of requests a second that is most of a processor core. `fill` books a whole
batch with the same result, so that web UI, CSV and JSON show what they would have shown.

Internals of Locust that this relies on (2.47; pinned by a test): `RequestStats.total`,
``.entries`` and ``.errors``; of `StatsEntry` the counters that `StatsEntry.log` and ``log_error``
write, ``use_response_times_cache`` and ``_cache_response_times``; of `StatsError` ``create_key``,
``occurrences``, ``first_seen`` and ``last_seen``; `locust.stats.bucket_response_time`; and that the
one listener of its own on ``events.request`` is defined in `locust.runners`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from locust import stats as locust_stats
from locust.env import Environment
from locust.stats import RequestStats, StatsEntry, StatsError
from numpy.typing import NDArray

__all__ = [
    "RequestFailedError",
    "Requests",
    "fill",
    "foreign_listeners",
    "rounded_ms",
    "somebody_listens",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Where Locust's own listener on `events.request` is defined; it only fills the statistics.
_OWN_LISTENERS = "locust.runners"


class RequestFailedError(Exception):
    """What Locust's request event carries for an attempt that did not serve its user."""


@dataclass(frozen=True, slots=True)
class Requests:
    """A batch of attempts in columns of equal length, in the order in which they ended.

    ``kind`` points into ``kinds``, pairs of method and name. ``reason`` points into ``reasons``;
    an empty one means that the user was served. ``response_ms`` is NaN for an attempt that never
    ended. ``moment_s`` is when each ended, in seconds since the epoch (finite in every row).
    """

    kind: NDArray[np.integer[Any]]
    reason: NDArray[np.integer[Any]]
    response_ms: Floats
    length: Integers
    moment_s: Floats
    kinds: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.moment_s)

    def rows(self, chosen: slice | NDArray[Any]) -> Requests:
        """Return the rows that a slice, a boolean mask or an index array selects."""
        return Requests(
            self.kind[chosen],
            self.reason[chosen],
            self.response_ms[chosen],
            self.length[chosen],
            self.moment_s[chosen],
            self.kinds,
            self.reasons,
        )


def fill(statistics: RequestStats, batch: Requests) -> None:
    """Book a batch as if `events.request` had been fired for each row at its moment.

    Sums of response times may differ in the last bits, for they are added in another order.
    Moments that lie before the statistics were last reset count as that moment. Call it where
    Locust's greenlets run; it does not yield.
    """
    if not len(batch):
        return
    # A reset clears what was booked so far; what ended just before it shows just after it.
    moments = np.maximum(batch.moment_s, statistics.total.start_time)
    order = np.argsort(moments, kind="stable")
    batch, moments = batch.rows(order), moments[order]
    failed = np.array([reason != "" for reason in batch.reasons])[batch.reason]
    # The rolling percentiles of the web UI need a copy at each turn of a second.
    seconds = moments.astype(np.int64)
    turns = [0, *(np.flatnonzero(np.diff(seconds)) + 1).tolist(), len(batch)]
    for first, end in pairwise(turns):
        part = slice(first, end)
        _fill_second(statistics, batch.rows(part), moments[part], failed[part])


def somebody_listens(environment: Environment) -> bool:
    """Whether `events.request` has a listener besides the one that fills Locust's statistics."""
    return bool(foreign_listeners(environment))


def foreign_listeners(environment: Environment) -> list[Callable[..., object]]:
    """Return the listeners on `events.request` that are not Locust's own, in their order."""
    # Locust has no public list of them.
    handlers = environment.events.request._handlers  # noqa: SLF001
    return [each for each in handlers if getattr(each, "__module__", None) != _OWN_LISTENERS]


def rounded_ms(response_ms: Floats) -> Integers:
    """Return response times rounded as Locust's percentiles have them: to about two digits.

    Below 100 ms to 1 ms, below 1 s to 10 ms, below 10 s to 100 ms, else to 1 s; halves go to the
    even neighbour. Takes another function if somebody has put one in Locust's place.
    """
    own = locust_stats.bucket_response_time
    if getattr(own, "__module__", None) != locust_stats.__name__:
        return np.array([own(value) for value in response_ms.tolist()], dtype=np.int64)
    steps = np.select(
        [response_ms < 100, response_ms < 1_000, response_ms < 10_000], [1.0, 10.0, 100.0], 1e3
    )
    # `fmod` is exact where a division would round: 105.00000000000001 must not become a tie.
    rest = np.fmod(response_ms, steps)
    whole = np.rint((response_ms - rest) / steps)
    is_up = (rest > steps / 2) | ((rest == steps / 2) & (whole % 2 == 1))
    return np.asarray((whole + is_up) * steps).astype(np.int64)


def _fill_second(
    statistics: RequestStats, batch: Requests, moments: Floats, failed: NDArray[np.bool_]
) -> None:
    """Book rows that all ended within one second of the clock."""
    last_s = float(moments[-1])
    rounded = np.full(len(batch), -1, dtype=np.int64)
    has_ended = ~np.isnan(batch.response_ms)
    rounded[has_ended] = rounded_ms(batch.response_ms[has_ended])
    _log(statistics.total, batch, rounded, last_s)
    _log_failures(statistics.total, int(np.count_nonzero(failed)), int(last_s))
    order = np.argsort(batch.kind, kind="stable")
    ends = np.cumsum(np.bincount(batch.kind, minlength=len(batch.kinds)))
    for code, rows in enumerate(np.split(order, ends[:-1])):
        if not len(rows):
            continue
        method, name = batch.kinds[code]
        is_new = (name, method) not in statistics.entries
        entry = statistics.entries[name, method]
        if is_new:
            # It is as old as its first request, which ended a moment before this batch came.
            entry.start_time = min(entry.start_time, float(moments[rows[0]]))
        _log(entry, batch.rows(rows), rounded[rows], float(moments[rows[-1]]))
        bad = rows[failed[rows]]
        if len(bad):
            _log_failures(entry, len(bad), int(last_s))
            _log_errors(statistics, (method, name), batch.rows(bad), moments[bad])


def _log(entry: StatsEntry, batch: Requests, rounded: Integers, last_s: float) -> None:
    """Do what `StatsEntry.log` does, for rows of one second; ``rounded`` is -1 where none ended."""
    second, before_s = int(last_s), entry.last_request_timestamp
    if entry.use_response_times_cache and before_s and second > int(before_s):
        entry._cache_response_times(second - 1)  # noqa: SLF001 - what `log` itself does here
    count = len(batch)
    entry.num_requests += count
    entry.num_reqs_per_sec[second] += count
    entry.last_request_timestamp = max(last_s, entry.start_time)
    entry.total_content_length += int(batch.length.sum())
    has_ended = rounded >= 0
    times_ms = batch.response_ms[has_ended]
    entry.num_none_requests += count - len(times_ms)
    if not len(times_ms):
        return
    # Python's own numbers all the way: these go to the master as messages. They are floats, as
    # those that Locust's own users report, whatever the declarations say.
    entry.total_response_time += float(times_ms.sum())  # type: ignore[assignment]
    low, high = float(times_ms.min()), float(times_ms.max())
    known = entry.min_response_time
    entry.min_response_time = low if known is None else min(known, low)  # type: ignore[assignment]
    entry.max_response_time = max(entry.max_response_time, high)  # type: ignore[assignment]
    values, counts = np.unique(rounded[has_ended], return_counts=True)
    for value, number in zip(values.tolist(), counts.tolist(), strict=True):
        entry.response_times[value] += number


def _log_failures(entry: StatsEntry, count: int, second: int) -> None:
    if count:
        entry.num_failures += count
        entry.num_fail_per_sec[second] += count


def _log_errors(
    statistics: RequestStats, kind: tuple[str, str], batch: Requests, moments: Floats
) -> None:
    method, name = kind
    for code in np.unique(batch.reason).tolist():
        mine = moments[batch.reason == code]
        error = RequestFailedError(batch.reasons[code])
        key = StatsError.create_key(method, name, error)
        known = statistics.errors.setdefault(key, StatsError(method, name, error))
        known.occurrences += len(mine)
        if known.first_seen is None:
            known.first_seen = float(mine[0])
        known.last_seen = float(mine[-1])
