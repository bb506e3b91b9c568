"""The order that the harness hands to a generator process, and the files they meet by.

``load.json`` (path in the environment variable `ORDER_VARIABLE`) holds a `LoadOrder`. The
generator writes ``ready-<n>`` in the samples folder once it is prepared; the harness answers with
``start.json`` there, ``{"t0": CLOCK_MONOTONIC seconds}``. Secrets never touch the disk: headers
come in the environment variable `HEADERS_VARIABLE`, as JSON.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from surgeproof.errors import FormatError, UsageError
from surgeproof.model.plan import ArrivalPart, Endpoint, Load, Numbers, Phase, Plan, Timeouts
from surgeproof.model.words import Tier

__all__ = [
    "HEADERS_VARIABLE",
    "ORDER_VARIABLE",
    "LoadOrder",
    "headers_from",
    "ready_file",
    "start_file",
    "write_start",
]

ORDER_VARIABLE = "SURGEPROOF_LOAD"
HEADERS_VARIABLE = "SURGEPROOF_HEADERS"


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """Everything a generator process needs to know.

    ``t0`` is None when the start is agreed by ``start.json``. ``samples`` is None when nothing is
    to be journalled (a run by hand). The bounds of the generator itself (``connections``,
    ``max_in_flight``, ``timeouts``) are those of the load.
    """

    seed: int
    base_url: str
    load: Load
    endpoints: tuple[Endpoint, ...] = ()
    t0: float | None = None
    samples: Path | None = None
    generator: int = 0
    ca_bundle: Path | None = None
    ledger_kinds: tuple[str, ...] = ()

    @classmethod
    def of_plan(cls, plan: Plan, base_url: str, samples: Path | None) -> LoadOrder:
        """Return the order of a plan, everything else at its default."""
        return cls(
            seed=plan.seed,
            base_url=base_url,
            load=plan.load,
            endpoints=plan.endpoints,
            samples=samples,
            ca_bundle=plan.target.ca_bundle,
            ledger_kinds=plan.ledger_kinds,
        )

    def to_json(self) -> str:
        """Return the order as JSON text, which `from_json` reads back to an equal value."""
        return json.dumps(_plain(self), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> LoadOrder:
        """Read an order.

        Raises:
            FormatError: the text is no order.
        """
        try:
            data = json.loads(text)
            load = data.pop("load")
            phases = tuple(
                Phase(
                    name=phase["name"],
                    start_s=phase["start_s"],
                    duration_s=phase["duration_s"],
                    arrivals=tuple(_part(part) for part in phase["arrivals"]),
                    mix=phase["mix"],
                )
                for phase in load.pop("phases")
            )
            return cls(
                load=Load(
                    phases=phases,
                    file=Path(load.pop("file")),
                    timeouts=Timeouts(**load.pop("timeouts")),
                    **load,
                ),
                endpoints=tuple(
                    Endpoint(end["name"], Tier(end["tier"]), end["deadline_s"])
                    for end in data.pop("endpoints")
                ),
                samples=_path(data.pop("samples")),
                ca_bundle=_path(data.pop("ca_bundle")),
                ledger_kinds=tuple(data.pop("ledger_kinds")),
                **data,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"this is no load order: {error!r}") from error

    @classmethod
    def read(cls, path: Path) -> LoadOrder:
        """Read an order from a file.

        Raises:
            FormatError: the file cannot be read, or holds no order.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise FormatError(f"{path} cannot be read: {error}") from error
        try:
            return cls.from_json(text)
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from error

    @property
    def connections(self) -> int:
        """How many connections a generator opens at most."""
        return self.load.connections

    @property
    def max_in_flight(self) -> int:
        """How many arrivals a generator has under way at most."""
        return self.load.max_in_flight

    @property
    def timeouts(self) -> Timeouts:
        """How long an attempt may take."""
        return self.load.timeouts

    @property
    def request_timeout_s(self) -> float:
        """How long one attempt may take in all, the wait for a connection included."""
        return self.load.timeouts.total_s

    @property
    def tiers(self) -> Mapping[str, str]:
        """The tier of each declared endpoint, by request name."""
        return {endpoint.name: endpoint.tier.value for endpoint in self.endpoints}


def headers_from(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers that every request carries, from the environment.

    Raises:
        UsageError: the variable holds no JSON object of strings (its value is not shown).
    """
    text = environment.get(HEADERS_VARIABLE)
    if not text:
        return MappingProxyType({})
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise UsageError(f"{HEADERS_VARIABLE} holds no JSON object of strings")
    return MappingProxyType(data)


def ready_file(samples: Path, generator: int) -> Path:
    """Return where a generator says that it is prepared."""
    return samples / f"ready-{generator}"


def start_file(samples: Path) -> Path:
    """Return where the harness says when the run begins."""
    return samples / "start.json"


def write_start(samples: Path, t0: float) -> None:
    """Tell the waiting generators when the run begins, in one atomic step."""
    path = start_file(samples)
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps({"t0": t0}), encoding="utf-8")
    unfinished.replace(path)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _part(data: dict[str, Any]) -> ArrivalPart:
    columns = {
        name: Numbers(base64.b64decode(column["packed"], validate=True))
        for name, column in data.pop("columns").items()
    }
    return ArrivalPart(columns=columns, **data)


def _plain(value: object) -> object:
    """Return dataclasses, mappings, tuples and paths as what JSON knows.

    `dataclasses.asdict` copies what it does not know, and read-only mappings cannot be copied.
    """
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value) if isinstance(value, Path) else value
