"""The ``load`` of a plan: its phases, their arrivals and the mix of requests."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from surgeproof.errors import UsageError
from surgeproof.model.plan import Load, Phase, Timeouts
from surgeproof.plan.arrival_section import ArrivalReader, KeptFile
from surgeproof.plan.nodes import ListNode, Place
from surgeproof.plan.section import Section
from surgeproof.slo.nearest import unknown_word
from surgeproof.units import format_duration

__all__ = ["CLIENTS", "ENGINES", "UNITS", "check_name", "read_load"]

ENGINES = ("locust", "k6")
UNITS = ("request", "session")
# Whose client plain Locust users have: the one that their class brings, or ours.
CLIENTS = ("locust", "surgeproof")
_DEFAULT_MIX = "default"
_DEFAULT_LATE_AFTER_S = 0.01
# What a generator process may be told to hold, and how many of them a plan may ask for. A process
# has no more ports to one address than 64511, and no machine has more cores than this.
_BOUNDS = {"connections": 64_511, "max_in_flight": 1_000_000, "workers": 256}
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


def read_load(section: Section | None, plan_file: Path, kept: list[KeptFile]) -> Load | None:
    """Return the load, or None if it is not whole enough for a schedule.

    What the arrivals were read or fetched from is added to ``kept``.
    """
    if section is None:
        return None
    noted = len(section.mistakes.found)
    engine = section.choice("engine", "engine", ENGINES) or ENGINES[0]
    unit = section.choice("unit", "unit", UNITS) or UNITS[0]
    mixes = _read_mixes(section, plan_file)
    late_after_s = section.duration("late_after", positive=True)
    bounds = {name: _read_bound(section, name) for name in _BOUNDS}
    timeouts = _read_timeouts(section)
    client = section.choice("client", "client", CLIENTS) or CLIENTS[0]
    phases = _read_phases(section, mixes, ArrivalReader(plan_file, kept))
    is_whole = len(section.mistakes.found) == noted
    # A missing scenario file is a mistake, but leaves the arrivals as known as ever.
    file = section.file("file", plan_file, required=True)
    if file is not None and file.suffix != _SUFFIXES[engine]:
        section.wrong(
            "file",
            f"{file.name!r} is no scenario of {engine}; accepted: a {_SUFFIXES[engine]} file",
        )
    if engine == "k6" and (bounds["workers"] or 1) > 1:
        section.wrong("workers", "k6 spreads its own work over the cores; accepted: 1 with k6")
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
        timeouts=timeouts,
        client=client,
        **{name: value for name, value in bounds.items() if value is not None},
    )


def _read_bound(section: Section, name: str) -> int | None:
    value = section.whole(name)
    highest = _BOUNDS[name]
    if value is not None and not 1 <= value <= highest:
        section.wrong(name, f"{value} is out of bounds; accepted: 1 to {highest}")
        return None
    return value


def _read_timeouts(section: Section) -> Timeouts:
    """Return the timeouts; those that are absent or wrong at their defaults."""
    inner = section.section("timeouts")
    if inner is None:
        return Timeouts()
    total_s = inner.duration("total", positive=True)
    # Only the total bounds a silence that nobody set a bound for.
    default = Timeouts() if total_s is None else Timeouts(read_s=total_s, total_s=total_s)
    connect_s = inner.duration("connect", positive=True)
    read_s = inner.duration("read", positive=True)
    for name, value in (("connect", connect_s), ("read", read_s)):
        if value is not None and value > default.total_s:
            inner.wrong(
                name,
                f"{format_duration(value)} is more than the total of "
                f"{format_duration(default.total_s)}, which ends the attempt before",
            )
    inner.finish()
    return Timeouts(
        connect_s=min(default.connect_s, default.total_s) if connect_s is None else connect_s,
        read_s=default.read_s if read_s is None else read_s,
        total_s=default.total_s,
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


def _read_phases(section: Section, mixes: Mixes | None, reader: ArrivalReader) -> tuple[Phase, ...]:
    phases: list[Phase] = []
    start_s = 0.0
    for part in section.sections("phases", required=True):
        name = part.parsed("name", check_name, required=True) or ""
        duration_s = part.duration("duration", required=True, positive=True)
        mix = _read_mix_name(part, mixes)
        arrivals = reader.read(part, duration_s)
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
