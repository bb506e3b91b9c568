"""The schedule: every arrival of a run, its moment, phase and journey, known before it starts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surgeproof.errors import UsageError
from surgeproof.load.arrivals import MOST_ARRIVALS, Arrivals
from surgeproof.model.plan import Load, Phase, Window

__all__ = ["Schedule", "build_schedule"]

# A request's name; journeys of plain Locust users, say, have other names than their requests.
_REQUEST_NAME = re.compile(r"[A-Z]+ /")
# Streams of random numbers that one seed is split into.
_ARRIVALS, _JOURNEYS = 1, 2


@dataclass(frozen=True, slots=True)
class Schedule:
    """Arrivals in order; the arrays have one entry each.

    ``times_s`` are seconds since t0, sorted, on a grid of whole nanoseconds. ``journey_index`` is
    -1 where no mix names the journey (then ``journeys`` is empty, and the scenario file's own
    weights decide). ``is_named`` says that an arrival's journey is the name of its request.
    """

    times_s: NDArray[np.float64]
    phase_index: NDArray[np.int16]
    journey_index: NDArray[np.int16]
    phases: tuple[Phase, ...]
    journeys: tuple[str, ...]
    is_named: bool

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def duration_s(self) -> float:
        last = self.phases[-1]
        return last.start_s + last.duration_s

    @property
    def sha256(self) -> str:
        """The fingerprint of moments, phases and journeys: equal for equal arrivals only."""
        digest = hashlib.sha256()
        digest.update(np.round(self.times_s * 1e9).astype("<i8").tobytes())
        digest.update(self.phase_index.astype("<i2").tobytes())
        digest.update(self.journey_index.astype("<i2").tobytes())
        digest.update("\n".join((*(phase.name for phase in self.phases), "")).encode())
        digest.update("\n".join(self.journeys).encode())
        return digest.hexdigest()

    def slots(self, index: int, count: int) -> NDArray[np.int64]:
        """Return the places of shard ``index`` of ``count`` in the arrays, in order.

        Shards are dealt in turn (``index``, ``index + count``, …): together they hold each arrival
        once, and each has its even part of every moment.

        Raises:
            UsageError: there is no such shard.
        """
        if not 0 <= index < count:
            raise UsageError(f"shard {index} of {count}; accepted: 0 to the number of shards - 1")
        return np.arange(index, len(self.times_s), count, dtype=np.int64)

    def expected(self, name: str | None = None, window: Window | None = None) -> int:
        """Return how many arrivals of a request (None: of all) a window holds.

        Exact for all requests together, and for each where ``is_named``. Otherwise which request
        an arrival becomes is not known beforehand, and the answer is the most there can be.
        """
        chosen = np.ones(len(self.times_s), dtype=np.bool_)
        if window is not None:
            chosen = (self.times_s >= window.start_s) & (self.times_s < window.end_s)
        if name is not None and self.is_named:
            if name not in self.journeys:
                return 0
            chosen = chosen & (self.journey_index == self.journeys.index(name))
        return int(np.count_nonzero(chosen))

    def per_second(self) -> NDArray[np.int64]:
        """Return the arrivals in each whole second since t0, the last one included."""
        seconds = int(np.ceil(self.duration_s))
        return np.bincount(self.times_s.astype(np.int64), minlength=seconds).astype(np.int64)

    def with_weights(self, weights: Mapping[str, float], seed: int) -> Schedule:
        """Return the schedule with journeys drawn by the scenario file's own weights.

        A schedule that has journeys already is returned as it is.

        Raises:
            UsageError: no weight is positive.
        """
        if self.journeys:
            return self
        journeys = tuple(sorted(weights))
        picks = np.full(len(self), -1, dtype=np.int16)
        for number, phase in enumerate(self.phases):
            rows = np.flatnonzero(self.phase_index == number)
            where = f"phase {phase.name!r}, weights of the scenario file"
            picks[rows] = _pick(journeys, weights, len(rows), (seed, _JOURNEYS, number), where)
        return Schedule(
            self.times_s, self.phase_index, picks, self.phases, journeys, is_named=False
        )


def build_schedule(load: Load, seed: int) -> Schedule:
    """Return the schedule of a load: a pure function of its phases, mixes and the seed.

    Raises:
        UsageError: an arrival part is not valid, a phase names a mix that does not exist, there
            is not a single arrival, or more than `MOST_ARRIVALS`.
    """
    every = [Arrivals(phase.arrivals, phase.duration_s) for phase in load.phases]
    count = sum(each.expected(0.0, each.duration_s) for each in every)
    if count > MOST_ARRIVALS:
        raise UsageError(
            f"the phases make {count:.3g} arrivals; accepted: {MOST_ARRIVALS:,} at most"
        )
    journeys = tuple(sorted({name for mix in load.mixes.values() for name in mix}))
    times: list[NDArray[np.float64]] = []
    phases: list[NDArray[np.int16]] = []
    picks: list[NDArray[np.int16]] = []
    for number, phase in enumerate(load.phases):
        moments = every[number].times((seed, _ARRIVALS, number))
        times.append(_on_grid(phase, moments))
        phases.append(np.full(len(moments), number, dtype=np.int16))
        if not journeys:
            picks.append(np.full(len(moments), -1, dtype=np.int16))
            continue
        if phase.mix not in load.mixes:
            known = ", ".join(load.mixes)
            raise UsageError(f"phase {phase.name!r} has mix {phase.mix!r}; accepted: {known}")
        weights = load.mixes[phase.mix]
        where = f"mix {phase.mix!r}"
        stream = (seed, _JOURNEYS, number)
        picks.append(_pick(journeys, weights, len(moments), stream, where))
    if not sum(map(len, times)):
        raise UsageError("the schedule is empty: no phase has an arrival")
    return Schedule(
        np.concatenate(times),
        np.concatenate(phases),
        np.concatenate(picks),
        load.phases,
        journeys,
        is_named=load.unit == "request"
        and bool(journeys)
        and all(map(_REQUEST_NAME.match, journeys)),
    )


def _on_grid(phase: Phase, moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to whole nanoseconds, so that the last bit of a float never makes a difference.

    An arrival that rounding would put on the phase's end goes a nanosecond before it.
    """
    first = round(phase.start_s * 1e9)
    end = round((phase.start_s + phase.duration_s) * 1e9)
    # Whole nanoseconds are exact in a float for a hundred days; each step works in place.
    ticks = moments + phase.start_s
    ticks *= 1e9
    np.rint(ticks, out=ticks)
    np.clip(ticks, first, end - 1, out=ticks)
    ticks /= 1e9
    return ticks


def _pick(
    journeys: tuple[str, ...],
    weights: Mapping[str, float],
    count: int,
    stream: tuple[int, int, int],
    where: str,
) -> NDArray[np.int16]:
    """Draw a journey for each of ``count`` arrivals, by inversion of the cumulative weights."""
    shares = np.array([weights.get(name, 0.0) for name in journeys], dtype=np.float64)
    if not (np.all(np.isfinite(shares)) and np.all(shares >= 0) and shares.sum() > 0):
        raise UsageError(f"{where} needs weights that are 0 or more, and one above 0")
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(stream)))
    edges = np.cumsum(shares) / shares.sum()
    # Rounding may leave the last edge below 1; the last journey with a weight takes the rest.
    edges[np.flatnonzero(shares)[-1] :] = 1.0
    return np.searchsorted(edges, random.random(count), side="right").astype(np.int16)
