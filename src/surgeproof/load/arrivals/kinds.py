"""The kinds of arrivals that a plan may name, their parameters and the curves they make."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from surgeproof.errors import UsageError
from surgeproof.load.arrivals.bent import LAUNCH_POINTS, LaunchCurve, Sine
from surgeproof.load.arrivals.curve import Curve, Floats
from surgeproof.load.arrivals.recorded import Recorded
from surgeproof.load.arrivals.straight import Straight
from surgeproof.model.plan import ArrivalPart

__all__ = [
    "ARRIVAL_KINDS",
    "COMMON_PARAMETERS",
    "ArrivalKind",
    "Parameter",
    "Shape",
    "curve_of",
    "is_random",
    "validate_part",
]

# A part may pass its phase's end by what floats round off.
_SLACK_S = 1e-9


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a kind.

    ``unit`` is rate, duration, number, rates (a list), path, text, moment (of the calendar), word
    (one of ``words``) or flag. ``low`` and ``high`` are inclusive bounds in base units.
    """

    unit: str
    required: bool = True
    default: float | None = None
    low: float = 0.0
    high: float = math.inf
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """A valid part, ready to become a curve: rates are scaled, defaults are filled in."""

    values: Mapping[str, float]
    words: Mapping[str, str]
    columns: Mapping[str, Floats]
    scale: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class ArrivalKind:
    """A shape of arrivals; ``is_random`` kinds always draw their moments from the seed.

    ``columns`` names the lists of numbers that it needs besides its parameters.
    """

    name: str
    parameters: Mapping[str, Parameter]
    summary: str
    make: Callable[[Shape], Curve]
    is_random: bool = False
    columns: tuple[str, ...] = ()


# What every kind takes besides its own parameters.
COMMON_PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        "scale": Parameter("number", required=False, default=1.0),
        "random": Parameter("flag", required=False),
    }
)


def _line(first: str, last: str) -> Callable[[Shape], Curve]:
    def make(shape: Shape) -> Curve:
        return Straight.line(shape.values[first], shape.values[last], shape.duration_s)

    return make


def _burst(shape: Shape) -> Curve:
    start_s, end_s = shape.values["at"], shape.values["at"] + shape.values["for"]
    edges = np.array([start_s, min(end_s, shape.duration_s)])
    return Straight.stairs(edges, np.array([shape.values["rate"]]), shape.duration_s)


def _steps(shape: Shape) -> Curve:
    rates = shape.columns["rates"]
    every_s = shape.values.get("every", shape.duration_s / len(rates))
    edges = np.arange(len(rates) + 1, dtype=np.float64) * every_s
    # The last step lasts as long as the phase does.
    edges[-1] = shape.duration_s
    return Straight.stairs(edges, rates, shape.duration_s)


def _sine(shape: Shape) -> Curve:
    values = shape.values
    return Sine(values["from"], values["to"], values["period"], shape.duration_s)


def _launch(shape: Shape) -> Curve:
    return LaunchCurve(shape.values["peak"], shape.values["hours"], shape.duration_s)


def _rows(shape: Shape) -> Curve:
    times_s, rates = shape.columns["times"], shape.columns["rates"]
    if "over" in shape.values:
        times_s = times_s * (shape.values["over"] / times_s[-1])
    if shape.words.get("interpolation") == "steps":
        # Each row's rate lasts until the next row; the last row only says where that ends.
        return Straight.stairs(times_s, rates[:-1], shape.duration_s)
    return Straight.through(times_s, rates, shape.duration_s)


def _recorded(shape: Shape) -> Curve:
    return Recorded(shape.columns["times"] / shape.values["speed"], shape.scale, shape.duration_s)


def _kind_table() -> Mapping[str, ArrivalKind]:
    rate, path = Parameter("rate"), Parameter("path")
    maybe = Parameter("text", required=False)
    positive = Parameter("duration", low=1e-3)
    burst = {"at": Parameter("duration"), "for": positive, "rate": rate}
    last_hour = LAUNCH_POINTS[-1][0]
    # Below the first published hour there is nothing to be true to.
    hours = Parameter("number", required=False, default=last_hour, low=1.0, high=last_hour)
    drawn = {
        "interpolation": Parameter("word", required=False, words=("linear", "steps")),
        "over": Parameter("duration", required=False, low=1e-3),
        "sha256": maybe,
    }
    asked = {
        "file": Parameter("path", required=False),
        "url": maybe,
        "query": maybe,
        "start": Parameter("moment", required=False),
        "end": Parameter("moment", required=False),
        "step": Parameter("duration", required=False, low=1e-3),
    }
    speed = Parameter("number", required=False, default=1.0, low=1e-6, high=1e6)
    spike = "an even rate for a while, nothing before and after"
    kinds = (
        ArrivalKind("constant", {"rate": rate}, "an even rate", _line("rate", "rate")),
        ArrivalKind(
            "ramp",
            {"from": rate, "to": rate},
            "a rate that goes straight from one value to another",
            _line("from", "to"),
        ),
        ArrivalKind(
            "steps",
            {"rates": Parameter("rates"), "every": Parameter("duration", False, low=1e-3)},
            "even rates one after the other",
            _steps,
            columns=("rates",),
        ),
        ArrivalKind("spike", burst, spike, _burst),
        ArrivalKind("burst", burst, "the same as spike", _burst),
        ArrivalKind(
            "sine",
            {"from": rate, "to": rate, "period": positive},
            "a rate that swings between two values, as days do",
            _sine,
        ),
        ArrivalKind(
            "poisson",
            {"rate": rate},
            "independent arrivals at an even mean rate, drawn from the plan's seed",
            _line("rate", "rate"),
            is_random=True,
        ),
        ArrivalKind(
            "recorded",
            {"file": path, "column": maybe, "speed": speed, "sha256": maybe},
            "the moments of a recording",
            _recorded,
            columns=("times",),
        ),
        ArrivalKind(
            "launch_curve",
            {"peak": rate, "hours": hours},
            "the published sign-up curve of Threads, its first hours squeezed into the phase",
            _launch,
        ),
        ArrivalKind(
            "csv",
            {"file": path, "time": maybe, "rate": maybe, **drawn},
            "the rates of a CSV file",
            _rows,
            columns=("times", "rates"),
        ),
        ArrivalKind(
            "prometheus",
            {**asked, **drawn},
            "the rates of a Prometheus series",
            _rows,
            columns=("times", "rates"),
        ),
    )
    return MappingProxyType({kind.name: kind for kind in kinds})


ARRIVAL_KINDS: Mapping[str, ArrivalKind] = _kind_table()


def is_random(part: ArrivalPart) -> bool:
    """Return whether a part's moments are drawn from the seed."""
    return part.is_random or ARRIVAL_KINDS[part.kind].is_random


def validate_part(part: ArrivalPart, duration_s: float) -> list[str]:
    """Return what is wrong with a part in a phase of ``duration_s`` seconds, in words.

    Checks the kind, its parameters (missing, unknown, out of bounds, not finite), its columns of
    numbers, and whether the part fits in the phase. An empty list means that `curve_of` accepts
    it. What a parameter that is no number may say is for the reader of the plan to check.
    """
    kind = ARRIVAL_KINDS.get(part.kind)
    if kind is None:
        return [f"{part.kind!r} is no arrival kind; accepted: {', '.join(ARRIVAL_KINDS)}"]
    accepted = ", ".join(kind.parameters)
    mistakes = [
        f"{part.kind} has no parameter {name!r}; accepted: {accepted}"
        for name in (*part.parameters, *part.text)
        if name not in kind.parameters
    ]
    numbers = {
        name: parameter
        for name, parameter in kind.parameters.items()
        if parameter.unit in {"rate", "duration", "number"}
    }
    for name, parameter in numbers.items():
        if name not in part.parameters:
            if parameter.required:
                mistakes.append(f"{part.kind} needs {name!r}, a {parameter.unit}")
            continue
        value = part.parameters[name]
        if not (math.isfinite(value) and parameter.low <= value <= parameter.high):
            bounds = f"{parameter.low:g} to {parameter.high:g}"
            mistakes.append(f"{part.kind}.{name} is {value:g}; accepted: {bounds}")
    if not (math.isfinite(part.scale) and part.scale > 0):
        mistakes.append(f"{part.kind}.scale is {part.scale:g}; accepted: a number above 0")
    mistakes += _column_mistakes(kind, part)
    return mistakes or _fit_mistakes(part, duration_s)


def _column_mistakes(kind: ArrivalKind, part: ArrivalPart) -> list[str]:
    mistakes = [f"{kind.name} has no {name}" for name in kind.columns if name not in part.columns]
    if mistakes:
        return mistakes
    columns = {name: part.columns[name].values for name in kind.columns}
    if not all(column.size for column in columns.values()):
        return [f"{kind.name} is empty; accepted: one number or more"]
    rates, times = columns.get("rates"), columns.get("times")
    if rates is not None and not (np.all(np.isfinite(rates)) and np.all(rates >= 0)):
        mistakes.append(f"{kind.name} has a rate that is negative or no number")
    if times is not None:
        steps = np.diff(times)
        in_order = np.all(steps > 0) if rates is not None else np.all(steps >= 0)
        if not (in_order and np.all(np.isfinite(times)) and times[0] >= 0):
            mistakes.append(f"{kind.name} has times that are not in order")
        if rates is not None and (len(rates) != len(times) or len(times) < 2):
            mistakes.append(f"{kind.name} has {len(times)} rows; accepted: 2 or more")
    return mistakes


def _fit_mistakes(part: ArrivalPart, duration_s: float) -> list[str]:
    values, end_s = part.parameters, 0.0
    if {"at", "for"} <= values.keys():
        end_s = values["at"] + values["for"]
    elif part.kind == "steps" and "every" in values:
        end_s = values["every"] * len(part.columns["rates"])
    if end_s > duration_s + _SLACK_S:
        return [f"{part.kind} ends {end_s:g}s into its phase, which lasts {duration_s:g}s only"]
    return []


def curve_of(part: ArrivalPart, duration_s: float) -> Curve:
    """Return the curve of one part over a phase of ``duration_s`` seconds.

    Raises:
        UsageError: the part is not valid.
    """
    mistakes = validate_part(part, duration_s)
    if mistakes:
        raise UsageError("; ".join(mistakes))
    kind = ARRIVAL_KINDS[part.kind]
    values: dict[str, float] = {}
    for name, parameter in kind.parameters.items():
        value = part.parameters.get(name, parameter.default)
        if value is not None:
            values[name] = value * part.scale if parameter.unit == "rate" else value
    columns = {
        name: column.values * (part.scale if name == "rates" else 1.0)
        for name, column in part.columns.items()
    }
    return kind.make(Shape(values, part.text, columns, part.scale, duration_s))
