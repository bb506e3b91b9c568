"""The generators over a whole run: their pulses and their samples, summed up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from surgeproof.journal.pulses import PulseLine
from surgeproof.model.result import BlockedLoop, ClientWaits, GeneratorProcess, Quantiles
from surgeproof.model.samples import Samples
from surgeproof.slo.quantiles import summarise
from surgeproof.slo.select import arrival_mask, timed_mask

__all__ = ["count_error_kinds", "count_waits", "describe_generators"]

# A generator may miss as many of its own moments by waiting as it may drop arrivals.
MOST_WAITED_RATIO = 0.001


def describe_generators(
    pulses: Mapping[int, Sequence[PulseLine]], samples: Samples
) -> tuple[GeneratorProcess, ...]:
    """Return one row per generator that left a pulse or a sample, by number.

    Of a generator that wrote no last line (it was killed) the lines until then are taken.
    """
    numbers = sorted({*pulses, *np.unique(samples.generator).tolist()})
    arrivals = samples.take(arrival_mask(samples))
    return tuple(
        _describe(number, pulses.get(number, ()), arrivals.take(arrivals.generator == number))
        for number in numbers
    )


def count_waits(
    samples: Samples, processes: Iterable[GeneratorProcess], *, late_after_s: float
) -> ClientWaits:
    """Return how long first attempts waited in the generator until they were sent.

    The wait ends where service time begins; a request that never got a connection waited for
    ever. Limited are only waits that a queue for connections explains, where that is known.
    """
    firsts = samples.take(samples.attempt <= 1)
    wait_s = np.where(np.isnan(firsts.start_s), np.inf, firsts.start_s - firsts.intended_s)
    waited = int(np.count_nonzero(wait_s > late_after_s))
    never_sent = int(samples.error_kind.equal("queue_timeout").sum())
    queues = [each.waited for each in processes]
    has_queued = never_sent > 0 or not queues or any(count is None or count for count in queues)
    timed = samples.take(timed_mask(samples))
    return ClientWaits(
        requests=len(firsts),
        waited=waited,
        never_sent=never_sent,
        wait=summarise(wait_s),
        response_time=summarise(_endless(timed.response_time_s)),
        service_time=summarise(_endless(timed.service_time_s)),
        is_limited=waited > MOST_WAITED_RATIO * len(firsts) and has_queued,
    )


def count_error_kinds(samples: Samples) -> dict[str, int]:
    """Return how many attempts ended with each error kind."""
    codes, counts = np.unique(samples.error_kind.codes, return_counts=True)
    words = samples.error_kind.words
    return {
        words[code]: count
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
        if words[code]
    }


def _describe(number: int, lines: Sequence[PulseLine], arrivals: Samples) -> GeneratorProcess:
    last = lines[-1] if lines else None
    seconds = [line for line in lines if not line.is_end]
    has_ended = last is not None and last.is_end

    def whole(key: str, *, mean: bool) -> float | None:
        if has_ended and last is not None:
            return last.number(key)
        values = [value for line in seconds if (value := line.number(key)) is not None]
        if not values:
            return None
        return round(sum(values) / len(values), 4) if mean else max(values)

    def latest(key: str) -> float | None:
        return None if last is None else last.number(key)

    def most(key: str) -> float | None:
        values = [value for line in lines if (value := line.number(key)) is not None]
        return max(values, default=None)

    lag_s = np.where(np.isnan(arrivals.start_s), np.inf, arrivals.start_s - arrivals.intended_s)
    busiest = [ratio for line in seconds if (ratio := line.number("cpu_ratio")) is not None]
    return GeneratorProcess(
        generator=number,
        cpu_ratio=whole("cpu_ratio", mean=True),
        cpu_most_ratio=max(busiest, default=None),
        cores=_whole(latest("cores")),
        busy_ratio=whole("busy_ratio", mean=True),
        steal_ratio=whole("steal_ratio", mean=True),
        lag=summarise(lag_s) if len(arrivals) else Quantiles(None, None, None, None),
        loop_lag_p99_s=whole("loop_lag_p99_s", mean=False),
        gc_pauses=_whole(latest("gc_pauses")),
        gc_longest_s=latest("gc_longest_s"),
        gc_total_s=latest("gc_total_s"),
        files_most=_whole(most("files_most")),
        files_limit=_whole(latest("files_limit")),
        ports_most=_whole(most("ports_most")),
        ports_limit=_whole(latest("ports_limit")),
        in_flight_most=_whole(most("in_flight")),
        waited=_whole(latest("waited")),
        blocked=_blocked(lines),
    )


def _blocked(lines: Sequence[PulseLine]) -> tuple[BlockedLoop, ...]:
    """Return what the last line that has a word on it says; counts are of the run so far."""
    for line in reversed(lines):
        told = line.values.get("blocked")
        if isinstance(told, Mapping):
            told = [told]
        if isinstance(told, list):
            return tuple(_blocking(each) for each in told if isinstance(each, Mapping))
    return ()


def _blocking(told: Mapping[str, object]) -> BlockedLoop:
    line = PulseLine(0.0, is_end=False, values=told)
    return BlockedLoop(
        journey=str(told.get("journey") or ""),
        place=str(told.get("place") or ""),
        count=line.count("count") or 0,
        longest_s=line.number("longest_s") or 0.0,
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _endless(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(values), np.inf, values)
