"""What master and workers tell each other, as custom messages of Locust's own connections.

Moments of the schedule (``…_s``) are seconds since t0; ``t0``, ``asked``, ``received`` and
``answered`` are seconds on CLOCK_MONOTONIC, of the master unless it says otherwise. ``run`` names
the run that a message belongs to: one of a run before is let go. Headers and the order travel here
and nowhere else, for they may hold secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol, TypeVar, get_args, get_origin, get_type_hints

from surgeproof.errors import FormatError

__all__ = [
    "Failed",
    "Hello",
    "Leave",
    "Message",
    "Order",
    "Ping",
    "Pong",
    "Ready",
    "Shipment",
    "Start",
    "Stop",
    "read_message",
    "to_data",
]


class Message(Protocol):
    """A message: a dataclass of plain values with the name that it travels by."""

    kind: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker is there to send, and asks for the order; repeated until it is answered."""

    kind: ClassVar[str] = "surgeproof.hello"
    place: dict[str, object]


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do: the order as JSON, the secret headers, its number.

    ``ca_bundle`` is the text of the CA bundle, for its path means nothing elsewhere.
    """

    kind: ClassVar[str] = "surgeproof.order"
    run: str
    number: int
    order: str
    headers: dict[str, str] = field(repr=False)  # never in a log
    place: dict[str, object]
    ca_bundle: str = ""


@dataclass(frozen=True, slots=True)
class Ping:
    """A worker asks for the master's clock; ``asked`` is its own."""

    kind: ClassVar[str] = "surgeproof.ping"
    asked: float


@dataclass(frozen=True, slots=True)
class Pong:
    """The master's clock; ``asked`` is given back."""

    kind: ClassVar[str] = "surgeproof.pong"
    asked: float
    received: float
    answered: float


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker is prepared, has this schedule, and reads its clock by this offset."""

    kind: ClassVar[str] = "surgeproof.ready"
    run: str
    schedule_sha256: str
    offset_s: float
    uncertainty_s: float
    shares_clock: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """A worker cannot take part."""

    kind: ClassVar[str] = "surgeproof.failed"
    run: str
    message: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Start:
    """The run begins at ``t0``."""

    kind: ClassVar[str] = "surgeproof.start"
    run: str
    t0: float


@dataclass(frozen=True, slots=True)
class Leave:
    """The dealing as it is, and until when the worker may send; every shipment is answered so.

    ``shipment`` is the number of the last shipment that came without a gap, 0 for none.
    """

    kind: ClassVar[str] = "surgeproof.leave"
    run: str
    changes: list[dict[str, object]]
    until_s: float
    shipment: int
    asked: float
    received: float
    answered: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing intended at ``at_s`` or later is to be started; then the worker is to end."""

    kind: ClassVar[str] = "surgeproof.stop"
    run: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Shipment:
    """What a worker has measured since the shipment before; numbered from 1.

    ``samples`` and ``drops`` are Arrow IPC streams (empty: none), ``ledger`` and ``pulse`` lines
    for the journal. ``t_s`` is when it was closed. With ``is_last`` the worker sends nothing any
    more, and has started nothing that is intended at ``stopped_s`` or later.
    """

    kind: ClassVar[str] = "surgeproof.shipment"
    run: str
    number: int
    t_s: float
    asked: float
    samples: bytes = b""
    drops: bytes = b""
    ledger: list[str] = field(default_factory=list)
    pulse: list[str] = field(default_factory=list)
    is_last: bool = False
    stopped_s: float = 0.0


Kind = TypeVar("Kind", bound=Message)


def to_data(message: Message) -> dict[str, Any]:
    """Return a message as the plain data that Locust sends."""
    return {each.name: getattr(message, each.name) for each in fields(message)}


def read_message(kind: type[Kind], data: object) -> Kind:
    """Read a message of a kind.

    Raises:
        FormatError: the data is no such message (another version's, say).
    """
    if not isinstance(data, Mapping):
        raise FormatError(f"{kind.kind} without content; are master and workers of one version?")
    hints = get_type_hints(kind)
    names = {each.name for each in fields(kind)}
    problems = sorted(names ^ set(data))
    problems += [name for name in names & set(data) if not _is_a(hints[name], data[name])]
    if problems:
        raise FormatError(
            f"{kind.kind} differs in {', '.join(problems)}; are master and workers of one version?"
        )
    return kind(**data)


def _is_a(hint: Any, value: object) -> bool:
    if hint is object:
        return True
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float)
    origin = get_origin(hint)
    if origin is list:
        return isinstance(value, list) and all(_is_a(get_args(hint)[0], one) for one in value)
    if origin is dict:
        inside = get_args(hint)[1]
        return isinstance(value, dict) and all(_is_a(inside, one) for one in value.values())
    return isinstance(value, hint)
