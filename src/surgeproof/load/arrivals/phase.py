"""The arrivals of one phase: the sum of its parts, and the moments that come of a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surgeproof.errors import UsageError
from surgeproof.load.arrivals.curve import Curve, Floats, Sum
from surgeproof.load.arrivals.kinds import curve_of, is_random
from surgeproof.load.arrivals.recorded import Recorded
from surgeproof.load.arrivals.straight import Straight
from surgeproof.model.plan import ArrivalPart

__all__ = ["MOST_ARRIVALS", "Arrivals", "arrival_times"]

# A schedule takes 12 bytes for an arrival, and some 50 while it is made: what a machine of 8 GB
# can hold. At 10,000/s it is more than two hours.
MOST_ARRIVALS = 100_000_000
# Draws of a Poisson process are made this many at a time; the moments do not depend on it.
_DRAWS = 1 << 20


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The sum of some parts over a phase of ``duration_s`` seconds."""

    parts: tuple[ArrivalPart, ...]
    duration_s: float

    def rate(self, at_s: Floats) -> Floats:
        """Return the mean arrivals per second at each moment since the phase's start."""
        curves = [curve_of(part, self.duration_s) for part in self.parts]
        return np.asarray(sum((curve.rate(at_s) for curve in curves), np.zeros(len(at_s))))

    def expected(self, from_s: float, to_s: float) -> float:
        """Return how many arrivals are expected from one moment of the phase to another."""
        ends = np.array([from_s, to_s])
        reached = [curve_of(part, self.duration_s).reached(ends) for part in self.parts]
        return math.fsum(float(each[1] - each[0]) for each in reached)

    def times(self, seed: Sequence[int]) -> Floats:
        """Return the sorted moments of the arrivals, in seconds since the phase's start.

        Even parts are summed, and the k-th arrival comes where their sum reaches k - 1/2.
        Recordings keep their own moments. Each random part is a Poisson process whose mean is the
        curve: a process of rate 1, drawn from ``seed`` and the part's place among the parts, taken
        through the inverse of the curve's integral (E. Çinlar, "Introduction to Stochastic
        Processes", 1975, section 4.7).

        Raises:
            UsageError: a part is not valid, or more than `MOST_ARRIVALS` are expected.
        """
        self._check_count()
        even: list[Curve] = []
        streams: list[Floats] = []
        for place, part in enumerate(self.parts):
            curve = curve_of(part, self.duration_s)
            whole = self._whole(curve)
            if is_random(part):
                streams.append(curve.moments(_unit_process(whole, (*seed, place))))
            elif isinstance(curve, Recorded):
                streams.append(curve.moments(_halves(whole)))
            else:
                even.append(curve)
        if even:
            total = _total(even, self.duration_s)
            streams.append(total.moments(_halves(self._whole(total))))
        if not streams:
            return np.empty(0)
        merged = streams[0]
        if len(streams) > 1:
            # Each stream is sorted, and the stable sort merges runs that are.
            merged = np.sort(np.concatenate(streams), kind="stable")
        # An arrival belongs to the phase that holds it, and a phase does not hold its end.
        return np.asarray(np.clip(merged, 0.0, np.nextafter(self.duration_s, 0.0), out=merged))

    def _whole(self, curve: Curve) -> float:
        return float(curve.reached(np.array([self.duration_s]))[0])

    def _check_count(self) -> None:
        count = self.expected(0.0, self.duration_s)
        if count > MOST_ARRIVALS:
            raise UsageError(
                f"{count:.3g} arrivals are more than a schedule can hold; accepted: "
                f"{MOST_ARRIVALS:,} at most"
            )


def arrival_times(parts: Sequence[ArrivalPart], duration_s: float, seed: Sequence[int]) -> Floats:
    """Return the sorted moments of a phase's arrivals: `Arrivals.times` of its parts.

    Raises:
        UsageError: a part is not valid, or more than `MOST_ARRIVALS` are expected.
    """
    return Arrivals(tuple(parts), duration_s).times(seed)


def _total(curves: Sequence[Curve], duration_s: float) -> Curve:
    """Return the sum of curves; what is straight stays so, for its inverse is exact and fast."""
    straight = [curve for curve in curves if isinstance(curve, Straight)]
    others = [curve for curve in curves if not isinstance(curve, Straight)]
    if straight:
        others.append(Straight.sum(straight))
    return others[0] if len(others) == 1 else Sum(others, duration_s)


def _halves(whole: float) -> Floats:
    # A sum of floats may miss a whole half by rounding: 10/s over 0.35 s is three and a half.
    return np.arange(math.floor(whole + 0.5 + 1e-9), dtype=np.float64) + 0.5


def _unit_process(until: float, seed: Sequence[int]) -> Floats:
    """Return the arrivals of a Poisson process of rate 1 up to a moment, sorted, in O(count)."""
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(seed))))
    found: list[Floats] = []
    reached = 0.0
    while reached <= until:
        # Enough for all there are, most times; what is drawn too much is not used.
        count = min(_DRAWS, int(until - reached + 4 * math.sqrt(until - reached)) + 16)
        gaps = random.standard_exponential(count)
        gaps[0] += reached
        found.append(np.cumsum(gaps))
        reached = float(found[-1][-1])
    drawn = np.concatenate(found) if found else np.empty(0)
    return drawn[: int(np.searchsorted(drawn, until, side="right"))]
