"""The fault kinds: their attributes, units and bounds, as one table that plans are checked by.

Toxiproxy checks none of these itself: unknown attributes are dropped with status 200, and some
values end or stall the server (a slicer without an average size, a bandwidth below 1). So a fault
that is not valid here must never be sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal

from surgeproof.errors import UsageError
from surgeproof.model.plan import Fault
from surgeproof.units import parse_duration, parse_size

__all__ = [
    "DOWN",
    "FAULT_KINDS",
    "STREAMS",
    "Attribute",
    "FaultKind",
    "Unit",
    "complete_attributes",
    "parse_attribute",
    "validate_attributes",
    "validate_fault",
    "validate_name",
]

Unit = Literal["ms", "us", "KB/s", "bytes"]

DOWN = "down"
STREAMS = ("upstream", "downstream")

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HOUR_MS = 3_600_000
_MINUTE_US = 60_000_000
# A reset_peer toxic that is asleep cannot be removed, so undoing it lasts as long as its timeout:
# it must stay well inside the 5 s within which the guardian ends everything.
_RESET_TIMEOUT_MS = 2_000
# Beyond any real link or transfer; keeps arithmetic inside the server far from its 64 bits.
_LARGE = 10**9


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a kind: a whole number of ``unit`` within ``low`` and ``high``."""

    unit: Unit
    low: int
    high: int
    required: bool = False
    default: int = 0

    def parse(self, text: str) -> int:
        """Return the number in this attribute's unit: ``"120ms"``, ``"64KB/s"``, ``"50KB"``.

        Raises:
            UsageError: the text has no unit, a wrong one, or is no whole number of this unit.
        """
        scale = {"ms": 1_000, "us": 1_000_000, "KB/s": 0.001, "bytes": 1}[self.unit]
        if self.unit in {"ms", "us"}:
            amount = parse_duration(text) * scale
        else:
            size = text.strip()
            if self.unit == "KB/s":
                if not size.endswith("/s"):
                    raise UsageError(
                        f"{text!r} is no data rate; accepted: a size per second: 64KB/s"
                    )
                size = size[:-2]
            amount = parse_size(size) * scale
        whole = round(amount)
        if abs(amount - whole) > 1e-6:
            raise UsageError(f"{text!r} is no whole number of {self.unit}")
        return whole


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault; ``is_toxic`` tells Toxiproxy's toxics from what is done to a proxy."""

    name: str
    attributes: Mapping[str, Attribute]
    summary: str
    is_toxic: bool = True


_KINDS = (
    FaultKind(
        "latency",
        MappingProxyType(
            {
                "latency": Attribute("ms", 0, _HOUR_MS, required=True),
                "jitter": Attribute("ms", 0, _HOUR_MS),
            }
        ),
        "delays all data by latency ± jitter, never the TCP handshake",
    ),
    FaultKind(
        "bandwidth",
        MappingProxyType({"rate": Attribute("KB/s", 1, _LARGE, required=True)}),
        "limits each connection to a rate (1 KB = 1000 bytes)",
    ),
    FaultKind(
        "timeout",
        MappingProxyType({"timeout": Attribute("ms", 0, _HOUR_MS)}),
        "drops all data, and closes after this much silence (0: never); its removal closes every "
        "live connection",
    ),
    FaultKind(
        "reset_peer",
        MappingProxyType({"timeout": Attribute("ms", 0, _RESET_TIMEOUT_MS)}),
        "ends a connection this long after its next data: connections made during the fault with "
        "a TCP reset, pooled ones from before it with a plain close",
    ),
    FaultKind(
        "slow_close",
        MappingProxyType({"delay": Attribute("ms", 1, _HOUR_MS, required=True)}),
        "delays the closing of connections",
    ),
    FaultKind(
        "slicer",
        MappingProxyType(
            {
                "average_size": Attribute("bytes", 1, _LARGE, required=True),
                "size_variation": Attribute("bytes", 0, _LARGE),
                "delay": Attribute("us", 0, _MINUTE_US),
            }
        ),
        "cuts data into small pieces, with a delay between them",
    ),
    FaultKind(
        "limit_data",
        MappingProxyType({"bytes": Attribute("bytes", 0, _LARGE * 1000, required=True)}),
        "closes each connection after this many bytes",
    ),
    FaultKind(
        DOWN,
        MappingProxyType({}),
        "refuses new connections and closes the live ones (the proxy is disabled)",
        is_toxic=False,
    ),
)

FAULT_KINDS: Mapping[str, FaultKind] = MappingProxyType({kind.name: kind for kind in _KINDS})


def parse_attribute(kind: str, name: str, text: str) -> int:
    """Return an attribute as a plan writes it, in the unit that `Fault.attributes` holds.

    Raises:
        UsageError: the kind or the attribute is unknown, or the text is no such quantity.
    """
    if kind not in FAULT_KINDS:
        raise UsageError(_unknown("fault kind", kind, FAULT_KINDS))
    attributes = FAULT_KINDS[kind].attributes
    if name not in attributes:
        raise UsageError(_unknown(f"attribute of {kind}", name, attributes))
    return attributes[name].parse(text)


def complete_attributes(kind: str, attributes: Mapping[str, int]) -> dict[str, int]:
    """Return every attribute of a valid fault, those left out at their default."""
    known = FAULT_KINDS[kind].attributes
    return {name: attributes.get(name, known[name].default) for name in known}


def validate_attributes(kind: str, attributes: Mapping[str, int]) -> list[str]:
    """Return all that is wrong with the attributes of a fault of this kind, in words."""
    if kind not in FAULT_KINDS:
        return [_unknown("fault kind", kind, FAULT_KINDS)]
    known = FAULT_KINDS[kind].attributes
    problems = [
        _unknown(f"attribute of {kind}", name, known) for name in attributes if name not in known
    ]
    for name, attribute in known.items():
        if name not in attributes:
            if attribute.required:
                problems.append(f"{kind} needs {name}, in {attribute.unit}")
            continue
        value = attributes[name]
        if isinstance(value, bool) or not isinstance(value, int):
            problems.append(f"{name} of {kind} is {value!r}; accepted: a whole number")
        elif not attribute.low <= value <= attribute.high:
            problems.append(
                f"{name} of {kind} is {value} {attribute.unit}; "
                f"accepted: {attribute.low} to {attribute.high}"
            )
    return problems or _contradictions(kind, complete_attributes(kind, attributes))


def validate_fault(fault: Fault) -> list[str]:
    """Return all that is wrong with a fault but its times, in words."""
    problems = validate_attributes(fault.kind, fault.attributes)
    problems += validate_name("edge", fault.edge)
    if fault.stream not in STREAMS:
        problems.append(f"stream is {fault.stream!r}; accepted: {' or '.join(STREAMS)}")
    # The server takes 1.5 and -1 as well, and NaN would never be drawn.
    if not 0 < fault.toxicity <= 1:
        problems.append(f"toxicity is {fault.toxicity}; accepted: above 0 to 1")
    elif fault.kind == DOWN and fault.toxicity != 1:
        problems.append(f"toxicity is {fault.toxicity}; a proxy that is down is down for everybody")
    return problems


def validate_name(what: str, name: str) -> list[str]:
    """Return what is wrong with the name of a proxy or toxic (a slash would hide it for good)."""
    if _NAME.fullmatch(name):
        return []
    return [f"{what} {name!r} is no usable name; accepted: 1 to 64 of A-Z a-z 0-9 . _ -"]


def _contradictions(kind: str, values: Mapping[str, int]) -> list[str]:
    if kind == "latency" and values["latency"] + values["jitter"] == 0:
        return ["latency and jitter are both 0 ms, which delays nothing"]
    if kind == "slicer" and values["size_variation"] >= values["average_size"]:
        most = f"less than average_size ({values['average_size']})"
        return [f"size_variation of slicer is {values['size_variation']} bytes; accepted: {most}"]
    return []


def _unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f", did you mean {near[0]}?" if near else ""
    return f"unknown {what} {name!r}{hint}; accepted: {', '.join(known) or 'none'}"
