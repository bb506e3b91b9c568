"""The ``load`` of a plan: its phases, their arrivals and the mix of requests."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from surgeproof.errors import UsageError
from surgeproof.load.arrivals import ARRIVAL_KINDS, Parameter, validate_part
from surgeproof.model.plan import ArrivalPart, Load, Phase
from surgeproof.plan.nodes import ListNode, MappingNode, Node, Place, ScalarNode, kind_of
from surgeproof.plan.section import Section, find_file
from surgeproof.slo.nearest import unknown_word
from surgeproof.units import parse_duration, parse_rate

__all__ = ["ENGINES", "UNITS", "check_name", "read_load"]

ENGINES = ("locust", "k6")
UNITS = ("request", "session")
_DEFAULT_MIX = "default"
_DEFAULT_LATE_AFTER_S = 0.01
_SUFFIXES = {"locust": ".py", "k6": ".js"}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

Mixes = Mapping[str, Mapping[str, float]]


def check_name(text: str) -> str:
    """Return a phase's name, which gates and moments can refer to.

    Raises:
        UsageError: it holds something else than letters, digits, _ and -.
    """
    if not _NAME.fullmatch(text):
        raise UsageError(f"{text!r} is no usable name; accepted: 1 to 64 of A-Z a-z 0-9 _ -")
    return text


def read_load(section: Section | None, plan_file: Path) -> Load | None:
    """Return the load, or None if it is not whole enough for a schedule."""
    if section is None:
        return None
    noted = len(section.mistakes.found)
    engine = section.choice("engine", "engine", ENGINES) or ENGINES[0]
    unit = section.choice("unit", "unit", UNITS) or UNITS[0]
    mixes = _read_mixes(section, plan_file)
    late_after_s = section.duration("late_after", positive=True)
    phases = _read_phases(section, mixes)
    is_whole = len(section.mistakes.found) == noted
    # A missing scenario file is a mistake, but leaves the arrivals as known as ever.
    file = section.file("file", plan_file, required=True)
    if file is not None and file.suffix != _SUFFIXES[engine]:
        section.wrong(
            "file",
            f"{file.name!r} is no scenario of {engine}; accepted: a {_SUFFIXES[engine]} file",
        )
    section.finish()
    if not is_whole or not phases:
        return None
    return Load(
        file=file or plan_file,
        engine=engine,
        unit=unit,
        phases=phases,
        mixes=mixes or MappingProxyType({}),
        late_after_s=_DEFAULT_LATE_AFTER_S if late_after_s is None else late_after_s,
    )


def _read_mixes(section: Section, plan_file: Path) -> Mixes | None:
    """Return the mixes: empty without a file of them, None if it has mistakes."""
    file = section.file("mix", plan_file)
    if file is None:
        return None if section.get("mix") is not None else MappingProxyType({})
    place = Place(str(file), 1, 1)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        section.mistakes.add(Place(str(file)), "", f"no valid TOML: {error}")
        return None
    mixes: dict[str, Mapping[str, float]] = {}
    for name, weights in data.items():
        if not isinstance(weights, dict) or not weights:
            section.mistakes.add(place, name, "accepted: a table of journeys and their weights")
            continue
        wrong = [journey for journey, weight in weights.items() if not _is_weight(weight)]
        for journey in wrong:
            message = f"weight {weights[journey]!r}; accepted: a number above 0"
            section.mistakes.add(place, f"{name}.{journey}", message)
        mixes[name] = MappingProxyType(
            {key: float(value) for key, value in weights.items() if key not in wrong}
        )
    return MappingProxyType(mixes)


def _is_weight(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value > 0
    )


def _read_phases(section: Section, mixes: Mixes | None) -> tuple[Phase, ...]:
    phases: list[Phase] = []
    start_s = 0.0
    for part in section.sections("phases", required=True):
        name = part.parsed("name", check_name, required=True) or ""
        duration_s = part.duration("duration", required=True, positive=True)
        mix = _read_mix_name(part, mixes)
        arrivals = _read_arrivals(part, duration_s)
        part.finish()
        if name in {phase.name for phase in phases}:
            part.wrong("name", f"{name!r} is there twice; accepted: each phase once")
        phases.append(Phase(name, start_s, duration_s or 0.0, arrivals, mix))
        start_s += duration_s or 0.0
    if not phases and isinstance(section.get("phases"), ListNode):
        section.wrong("phases", "is empty; accepted: one phase or more")
    return tuple(phases)


def _read_mix_name(part: Section, mixes: Mixes | None) -> str:
    text = part.text("mix")
    if text is None:
        # With one mix there is no choice to make.
        text = next(iter(mixes)) if mixes and len(mixes) == 1 else _DEFAULT_MIX
        if mixes and text not in mixes:
            part.wrong("mix", f"is required; accepted: {', '.join(mixes)}")
        return text
    if mixes is not None and text not in mixes:
        if mixes:
            part.wrong("mix", unknown_word("mix", text, mixes))
        else:
            part.wrong("mix", f"{text!r} cannot be looked up: load.mix names no file of mixes")
    return text


def _read_arrivals(part: Section, duration_s: float | None) -> tuple[ArrivalPart, ...]:
    node = part.get("arrivals", required=True)
    if node is None:
        return ()
    base = part.key("arrivals")
    if isinstance(node, ListNode):
        listed = [(f"{base}[{index}]", item) for index, item in enumerate(node.items)]
    else:
        listed = [(base, node)]
    if not listed:
        part.wrong("arrivals", f"is empty; accepted: one of {', '.join(ARRIVAL_KINDS)}")
    read = [_read_part(part, path, item, duration_s) for path, item in listed]
    return tuple(arrival for arrival in read if arrival is not None)


def _read_part(
    part: Section, path: str, node: Node, duration_s: float | None
) -> ArrivalPart | None:
    mistakes = part.mistakes
    if not isinstance(node, MappingNode) or len(node.entries) != 1:
        message = f"found {kind_of(node)}, accepted: one of {', '.join(ARRIVAL_KINDS)} with its "
        mistakes.add(node.place, path, message + "parameters")
        return None
    (kind, (place, body)) = next(iter(node.entries.items()))
    if kind not in ARRIVAL_KINDS:
        mistakes.add(place, path, unknown_word("arrival kind", kind, ARRIVAL_KINDS))
        return None
    section = Section(body, f"{path}.{kind}", mistakes)
    noted = len(mistakes.found)
    numbers: dict[str, float] = {}
    texts: dict[str, str] = {}
    for name, parameter in ARRIVAL_KINDS[kind].parameters.items():
        if parameter.unit == "path":
            text = section.text(name, required=parameter.required)
            if text is not None and find_file(text, Path(place.file)) is None:
                section.wrong(name, f"there is no file {text!r}")
            texts.update({} if text is None else {name: text})
        else:
            value = _read_parameter(section, name, parameter)
            numbers.update({} if value is None else {name: value})
    section.finish()
    if len(mistakes.found) > noted:
        return None
    arrival = ArrivalPart(kind, MappingProxyType(numbers), MappingProxyType(texts))
    if duration_s is not None:
        for message in validate_part(arrival, duration_s):
            mistakes.add(section.place, section.path, message)
    return arrival


def _read_parameter(section: Section, name: str, parameter: Parameter) -> float | None:
    if parameter.unit == "rate":
        return section.parsed(name, parse_rate, required=parameter.required)
    if parameter.unit == "duration":
        return section.parsed(name, parse_duration, required=parameter.required)
    node = section.get(name, required=parameter.required)
    if node is None:
        return None
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    section.wrong(name, f"found {kind_of(node)}, accepted: a number")
    return None
