"""The result of a call of the benchmarks: every table, ratios, and where they come from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from benchmarks.machine import Machine
from benchmarks.processes import Cores
from benchmarks.tables.stalled import StallTruth
from benchmarks.targets import Tables, ratios_of

__all__ = ["SCHEMA_VERSION", "Extent", "Result"]

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured: seconds, repetitions, rates. ``skip_s`` is given to settle."""

    name: str
    repetitions: int
    closed_s: float
    open_s: float
    skip_s: float
    open_rates_per_s: tuple[float, ...]
    pairs: int
    ladder_s: float
    stall_every_s: float
    stall_length_s: float
    stall_phase_s: float
    stall_rate_per_s: float
    stall_s: float


@dataclass(frozen=True, slots=True)
class Result:
    """Everything found; ``skipped`` maps a peer, a table or "table: tool" to the reason."""

    command: str
    machine: Machine
    extent: Extent
    cores: Cores
    load_average: tuple[float, float]
    took_s: float
    tables: Tables
    truth: StallTruth
    skipped: Mapping[str, str]

    def to_data(self) -> dict[str, Any]:
        """Return it as plain data for JSON; an infinite time is null."""
        ratios = {
            peer: {
                each.name: {
                    "value": each.value,
                    "target": each.target,
                    "must_be": "at least" if each.is_at_least else "at most",
                    "reached": each.is_reached,
                }
                for each in found
            }
            for peer, found in ratios_of(self.tables).items()
        }
        data = {
            "schema": SCHEMA_VERSION,
            "provenance": {
                "command": self.command,
                **asdict(self.machine),
                "pinned_to": asdict(self.cores),
                "load_average": {"before": self.load_average[0], "after": self.load_average[1]},
                "took_s": self.took_s,
            },
            "extent": self.extent,
            "skipped": self.skipped,
            "ratios": ratios,
            **{each.name: getattr(self.tables, each.name) for each in fields(self.tables)},
            "stall_truth": self.truth,
        }
        plain: dict[str, Any] = _plain(data)
        return plain

    def to_json(self) -> str:
        """Return `to_data` as text."""
        return json.dumps(self.to_data(), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain({each.name: getattr(value, each.name) for each in fields(value)})
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        # Six digits are more than any of this is good for.
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
