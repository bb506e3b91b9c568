"""What a plan says, resolved: all times in seconds since the run's t0.

`surgeproof.plan` is the only maker of these from files; a value that exists is valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from surgeproof.model.words import Tier

__all__ = [
    "ArrivalPart",
    "Edge",
    "Endpoint",
    "Fault",
    "Gate",
    "Load",
    "Numbers",
    "Phase",
    "Plan",
    "Selector",
    "Target",
    "Timeouts",
    "Window",
]

_EMPTY: Mapping[str, str] = MappingProxyType({})
_NO_COLUMNS: Mapping[str, Numbers] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open stretch of the run, ``[start_s, end_s)`` in seconds since t0."""

    name: str
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Numbers:
    """Many numbers, packed as little-endian doubles: small, comparable and never changed."""

    packed: bytes

    @classmethod
    def of(cls, values: Iterable[float]) -> Numbers:
        return cls(np.fromiter(values, "<f8").tobytes())

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers as a read-only array."""
        return np.frombuffer(self.packed, "<f8")

    def __len__(self) -> int:
        return len(self.packed) // 8


@dataclass(frozen=True, slots=True)
class ArrivalPart:
    """One summand of a phase's arrival curve.

    ``kind`` is one of those `surgeproof.load.arrivals` lists; ``parameters`` are in base units
    (seconds, per second); ``text`` holds parameters that are no numbers (a path, say), and
    ``columns`` the lists of numbers that were given, read or fetched. Rates are multiplied by
    ``scale``; an ``is_random`` part is a Poisson process instead of an even sequence.
    """

    kind: str
    parameters: Mapping[str, float]
    text: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    columns: Mapping[str, Numbers] = field(default_factory=lambda: _NO_COLUMNS)
    is_random: bool = False
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Phase:
    """A named stretch of the load; ``start_s`` is where the phases before it end."""

    name: str
    start_s: float
    duration_s: float
    arrivals: tuple[ArrivalPart, ...]
    mix: str = "default"

    @property
    def window(self) -> Window:
        return Window(self.name, self.start_s, self.start_s + self.duration_s)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an attempt may take, in seconds; each bound ends it as an error of its own kind.

    ``connect_s`` is from dialling to a usable connection, TLS included; ``read_s`` is the longest
    silence while an answer is awaited; ``total_s`` is from the attempt's start, the wait for a
    connection included, to the answer's last byte.
    """

    connect_s: float = 5.0
    read_s: float = 10.0
    total_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Load:
    """What drives the target.

    ``mixes`` maps a mix's name to journey weights (any positive numbers). With ``unit`` request
    each arrival is one request and the journey's name is the request's name; it may be empty, and
    then the scenario file's own weights decide and no per-endpoint count is known beforehand.

    ``workers`` generator processes share the schedule. Each opens at most ``connections`` at a
    time: requests beyond wait in a queue, which is latency. Each has at most ``max_in_flight``
    arrivals under way: arrivals beyond are dropped, and counted.
    """

    file: Path
    engine: str  # locust | k6 | replay
    unit: str  # request | session
    phases: tuple[Phase, ...]
    mixes: Mapping[str, Mapping[str, float]]
    late_after_s: float = 0.01
    connections: int = 1000
    max_in_flight: int = 4000
    workers: int = 1
    client: str = "locust"  # of plain Locust users: locust | surgeproof
    timeouts: Timeouts = field(default_factory=Timeouts)

    @property
    def duration_s(self) -> float:
        return sum(phase.duration_s for phase in self.phases)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A request's key (``METHOD /template``), its tier and the deadline a user would wait."""

    name: str
    tier: Tier
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Edge:
    """One dependency edge of the target, as its edges file declares it; each is one proxy.

    ``latency_s``, give or take ``jitter_s``, is how far away its other end is all the time.
    """

    name: str
    dependency: str
    source: str  # `from` in the file
    destination: str  # `to` in the file
    upstream: str
    timeout_s: float
    fallback: str
    latency_s: float = 0.0
    jitter_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """The system rehearsed. ``headers`` and ``env`` may hold ``${ENV}`` references, unresolved.

    ``toxiproxy_url`` is the API of the Toxiproxy that an external target's edges pass; the
    ``processes`` driver starts its own.
    """

    driver: str  # processes | external | docker
    base_url: str | None
    stack_file: Path | None
    edges_file: Path | None
    contract_file: Path | None
    env: Mapping[str, str]
    headers: Mapping[str, str]
    ca_bundle: Path | None
    toxiproxy_url: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault on the run's time axis.

    ``attributes`` are in Toxiproxy's own units (ms, KB/s, bytes); ``toxicity`` is 0..1.
    """

    name: str
    edge: str
    kind: str
    start_s: float
    duration_s: float
    attributes: Mapping[str, int]
    stream: str = "downstream"
    toxicity: float = 1.0

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Selector:
    """Which samples (or which count) a gate looks at: a metric and label filters."""

    metric: str
    labels: Mapping[str, str]

    def __str__(self) -> str:
        if not self.labels:
            return self.metric
        inside = ", ".join(f'{label}="{value}"' for label, value in self.labels.items())
        return f"{self.metric}{{{inside}}}"


@dataclass(frozen=True, slots=True)
class Gate:
    """An expression that must hold: ``selector: stat op value [during] [over|for] [each]``.

    ``value`` is in base units (seconds, ratio, count, per second). ``during`` is None (the whole
    run), a phase's name, ``fault:NAME`` or ``recovery:NAME``. ``over_s`` asks for every rolling
    window of that length, ``for_s`` for every whole second within it in a row.
    """

    id: str
    expression: str
    selector: Selector
    stat: str  # p50 p95 p99 p99.9 … | max | mean | rate | count
    op: str
    value: float
    during: str | None = None
    over_s: float | None = None
    for_s: float | None = None
    each: str | None = None
    source: str = ""  # file:line
    implicit: bool = False

    @property
    def quantile(self) -> float | None:
        """The quantile 0..1 when ``stat`` is ``pN``, else None."""
        return float(self.stat[1:]) / 100 if self.stat.startswith("p") else None


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole rehearsal, resolved and valid."""

    name: str
    seed: int
    file: Path
    target: Target
    load: Load
    endpoints: tuple[Endpoint, ...]
    edges: tuple[Edge, ...]
    faults: tuple[Fault, ...]
    gates: tuple[Gate, ...]
    guards: tuple[Gate, ...]
    ledger_kinds: tuple[str, ...]
    timeout_s: float
    effective: str  # the YAML that really ran: overrides applied, ${ENV} still unresolved
    # What was read or fetched for the arrivals, by the name that ``effective`` calls it.
    arrival_files: Mapping[str, str] = field(default_factory=lambda: _EMPTY)

    @property
    def duration_s(self) -> float:
        return self.load.duration_s
