"""The ``faults`` of a plan: what breaks, when, and on which edge."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from surgeproof.errors import UsageError
from surgeproof.faults.kinds import (
    FAULT_KINDS,
    STREAMS,
    parse_attribute,
    validate_fault,
    validate_name,
)
from surgeproof.model.plan import Edge, Fault, Load, Phase
from surgeproof.plan.moments import parse_moment
from surgeproof.plan.section import Section
from surgeproof.slo.nearest import unknown_word
from surgeproof.units import format_duration, parse_ratio

__all__ = ["read_faults"]


def read_faults(
    root: Section, edges: tuple[Edge, ...] | None, load: Load | None
) -> tuple[Fault, ...]:
    """Return the faults that are valid; ``edges`` or ``load`` None could not be read.

    Faults that a missing part makes uncheckable are checked for everything else.
    """
    phases = load.phases if load is not None else None
    faults: list[Fault] = []
    names: set[str] = set()
    for section in root.sections("faults"):
        fault = _read_fault(section, edges, phases, names)
        if fault is None:
            continue
        if load is not None:
            _check_window(section, fault, load)
        _check_overlap(section, fault, faults)
        faults.append(fault)
    return tuple(faults)


def _read_fault(
    section: Section,
    edges: tuple[Edge, ...] | None,
    phases: Sequence[Phase] | None,
    names: set[str],
) -> Fault | None:
    noted = len(section.mistakes.found)
    name = section.text("name", required=True)
    for message in validate_name("fault", name) if name is not None else []:
        section.wrong("name", message)
    if name is not None and name in names:
        section.wrong("name", f"{name!r} is there twice; accepted: each fault once")
    names.add(name or "")
    edge = section.text("edge", required=True)
    if edge is not None and edges is not None and edge not in {known.name for known in edges}:
        section.wrong("edge", unknown_word("edge", edge, [known.name for known in edges]))
    kind = section.choice("kind", "fault kind", FAULT_KINDS, required=True)
    start_s = _read_start(section, phases)
    duration_s = section.duration("for", required=True, positive=True)
    stream = section.choice("stream", "stream", STREAMS) or "downstream"
    toxicity = section.parsed("toxicity", _parse_share)
    attributes = _read_attributes(section, kind)
    if kind is not None:
        # Without a kind there is no telling which attributes it should have had.
        section.finish()
    if len(section.mistakes.found) > noted or phases is None:
        return None
    fault = Fault(
        name=name or "",
        edge=edge or "",
        kind=kind or "",
        start_s=start_s or 0.0,
        duration_s=duration_s or 0.0,
        attributes=MappingProxyType(attributes),
        stream=stream,
        toxicity=1.0 if toxicity is None else toxicity,
    )
    problems = validate_fault(fault)
    for message in problems:
        section.mistakes.add(section.place, section.path, message)
    return None if problems else fault


def _read_start(section: Section, phases: Sequence[Phase] | None) -> float | None:
    if phases is None:
        # Known to be there is all that can be said while the phases are not.
        section.text("at", required=True)
        return None
    return section.parsed("at", lambda text: parse_moment(text, phases), required=True)


def _parse_share(text: str) -> float:
    if text.strip().endswith("%"):
        return parse_ratio(text)
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no share; accepted: above 0 to 1, or a percentage"
        ) from error


def _read_attributes(section: Section, kind: str | None) -> dict[str, int]:
    attributes: dict[str, int] = {}
    if kind is None:
        return attributes
    for name, attribute in FAULT_KINDS[kind].attributes.items():
        value = section.parsed(
            name,
            lambda text, name=name: parse_attribute(kind, name, text),  # type: ignore[misc]
            required=attribute.required,
        )
        if value is not None:
            attributes[name] = value
    return attributes


def _check_window(section: Section, fault: Fault, load: Load) -> None:
    # Half a microsecond: sums of decimal durations are not exact.
    if fault.start_s < -5e-7 or fault.end_s > load.duration_s + 5e-7:
        section.wrong(
            "at",
            f"the fault lasts from {fault.start_s:g}s to {fault.end_s:g}s, outside the run of "
            f"{format_duration(load.duration_s)}",
        )


def _check_overlap(section: Section, fault: Fault, others: Sequence[Fault]) -> None:
    for other in others:
        if other.edge == fault.edge and fault.start_s < other.end_s and other.start_s < fault.end_s:
            section.wrong(
                "at",
                f"overlaps with fault {other.name!r} on the same edge {fault.edge} "
                f"({other.start_s:g}s to {other.end_s:g}s); accepted: one fault at a time",
            )
