"""The arrival kinds that a plan may name, and the moments of a phase's arrivals.

Everything here is a pure function of its arguments: the same parts, duration and seed give the
same moments to the nanosecond, whatever engine sends them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from surgeproof.errors import UsageError
from surgeproof.load.curves import LAUNCH_POINTS, Burst, Curve, LaunchCurve, Line, Sum, invert
from surgeproof.model.plan import ArrivalPart

__all__ = [
    "ARRIVAL_KINDS",
    "ArrivalKind",
    "Parameter",
    "arrival_times",
    "curve_of",
    "validate_part",
]

Floats = NDArray[np.float64]
Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a kind: ``unit`` is rate, duration, number or path.

    ``low`` and ``high`` are inclusive bounds in base units (per second, seconds).
    """

    unit: str
    required: bool = True
    default: float | None = None
    low: float = 0.0
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class ArrivalKind:
    """A shape of arrivals; ``is_random`` kinds draw their moments from the seed."""

    name: str
    parameters: Mapping[str, Parameter]
    summary: str
    make: Callable[[Values, float], Curve]
    is_random: bool = False


def _burst(values: Values, _duration_s: float) -> Curve:
    return Burst(values["at"], values["for"], values["rate"])


def _kind_table() -> Mapping[str, ArrivalKind]:
    rate = Parameter("rate")
    burst = {"at": Parameter("duration"), "for": Parameter("duration", low=1e-3), "rate": rate}
    last_hour = LAUNCH_POINTS[-1][0]
    kinds = (
        ArrivalKind(
            "constant",
            {"rate": rate},
            "an even rate",
            lambda values, duration_s: Line(values["rate"], values["rate"], duration_s),
        ),
        ArrivalKind(
            "ramp",
            {"from": rate, "to": rate},
            "a rate that goes straight from one value to another",
            lambda values, duration_s: Line(values["from"], values["to"], duration_s),
        ),
        ArrivalKind("spike", burst, "an even rate for a while, nothing before and after", _burst),
        ArrivalKind("burst", burst, "the same as spike", _burst),
        ArrivalKind(
            "poisson",
            {"rate": rate},
            "independent arrivals at an even mean rate, drawn from the plan's seed",
            lambda values, duration_s: Line(values["rate"], values["rate"], duration_s),
            is_random=True,
        ),
        ArrivalKind(
            "launch_curve",
            {
                "peak": rate,
                # Below the first published hour there is nothing to be true to.
                "hours": Parameter("number", False, last_hour, low=1.0, high=last_hour),
            },
            "the published sign-up curve of Threads, its first hours squeezed into the phase",
            lambda values, duration_s: LaunchCurve(values["peak"], values["hours"], duration_s),
        ),
    )
    return MappingProxyType({kind.name: kind for kind in kinds})


ARRIVAL_KINDS: Mapping[str, ArrivalKind] = _kind_table()


def validate_part(part: ArrivalPart, duration_s: float) -> list[str]:
    """Return what is wrong with a part in a phase of ``duration_s`` seconds, in words.

    Checks the kind, its parameters (missing, unknown, out of bounds, not finite) and whether the
    part fits in the phase. An empty list means that `arrival_times` accepts it.
    """
    kind = ARRIVAL_KINDS.get(part.kind)
    if kind is None:
        return [f"{part.kind!r} is no arrival kind; accepted: {', '.join(ARRIVAL_KINDS)}"]
    accepted = ", ".join(kind.parameters)
    mistakes = [
        f"{part.kind} has no parameter {name!r}; accepted: {accepted}"
        for name in part.parameters
        if name not in kind.parameters
    ]
    for name, parameter in kind.parameters.items():
        if name not in part.parameters:
            if parameter.required:
                mistakes.append(f"{part.kind} needs {name!r}, a {parameter.unit}")
            continue
        value = part.parameters[name]
        if not (math.isfinite(value) and parameter.low <= value <= parameter.high):
            bounds = f"{parameter.low:g} to {parameter.high:g}"
            mistakes.append(f"{part.kind}.{name} is {value:g}; accepted: {bounds}")
    if not mistakes and {"at", "for"} <= kind.parameters.keys():
        end_s = part.parameters["at"] + part.parameters["for"]
        if end_s > duration_s + 1e-9:
            mistakes.append(
                f"{part.kind} ends {end_s:g}s into its phase, which lasts {duration_s:g}s only"
            )
    return mistakes


def curve_of(part: ArrivalPart, duration_s: float) -> Curve:
    """Return the curve of one part over a phase of ``duration_s`` seconds.

    Raises:
        UsageError: the part is not valid.
    """
    mistakes = validate_part(part, duration_s)
    if mistakes:
        raise UsageError("; ".join(mistakes))
    kind = ARRIVAL_KINDS[part.kind]
    defaults = {
        name: parameter.default
        for name, parameter in kind.parameters.items()
        if parameter.default is not None
    }
    return kind.make({**defaults, **part.parameters}, duration_s)


def arrival_times(parts: Sequence[ArrivalPart], duration_s: float, seed: Sequence[int]) -> Floats:
    """Return the sorted moments of a phase's arrivals, in seconds since its start.

    Even kinds are summed and the k-th arrival comes where their sum reaches k - 1/2. Each random
    kind draws its number from a Poisson distribution with the curve's integral as the mean, and
    that many moments by inversion of the integral (so any curve could be random); it has a
    generator of its own, made from ``seed`` and its place among the parts.

    Raises:
        UsageError: a part is not valid.
    """
    even: list[Curve] = []
    moments: list[Floats] = []
    whole = np.array([duration_s])
    for place, part in enumerate(parts):
        curve = curve_of(part, duration_s)
        if not ARRIVAL_KINDS[part.kind].is_random:
            even.append(curve)
            continue
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([*seed, place])))
        mean = float(curve.expected(whole)[0])
        counts = np.sort(random.random(int(random.poisson(mean)))) * mean
        moments.append(invert(curve, duration_s, counts))
    if even:
        total = Sum(even)
        # A sum of floats may miss a whole half by rounding: 10/s over 0.35 s is three and a half.
        last = math.floor(float(total.expected(whole)[0]) + 0.5 + 1e-9)
        moments.append(invert(total, duration_s, np.arange(last, dtype=np.float64) + 0.5))
    merged = np.sort(np.concatenate(moments)) if moments else np.empty(0)
    # An arrival belongs to the phase that holds it, and a phase does not hold its end.
    return np.asarray(np.clip(merged, 0.0, np.nextafter(duration_s, 0.0)))
