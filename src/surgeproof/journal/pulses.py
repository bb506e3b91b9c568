"""The generators' own account of themselves: `samples/pulse-<n>.jsonl`, one line a second."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PulseLine", "read_pulses"]

_NAME = re.compile(r"pulse-(\d+)\.jsonl")


@dataclass(frozen=True, slots=True)
class PulseLine:
    """One line as it was written; what a generator did not say is not there."""

    t_s: float
    is_end: bool
    values: Mapping[str, object]

    def number(self, key: str) -> float | None:
        """Return a number, None where the line has none of that name."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value)

    def count(self, key: str) -> int | None:
        """Return a whole number, None where the line has none of that name."""
        number = self.number(key)
        return None if number is None else int(number)


def read_pulses(folder: Path) -> dict[int, tuple[PulseLine, ...]]:
    """Return the lines of every generator in order; a line cut by a kill is left out."""
    found: dict[int, tuple[PulseLine, ...]] = {}
    for path in folder.glob("pulse-*.jsonl"):
        match = _NAME.fullmatch(path.name)
        if match is not None:
            text = path.read_text(encoding="utf-8", errors="replace")
            lines = [_line(line) for line in text.splitlines()]
            found[int(match[1])] = tuple(line for line in lines if line is not None)
    return dict(sorted(found.items()))


def _line(text: str) -> PulseLine | None:
    try:
        values = json.loads(text)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    t_s = values.get("t_s")
    if not isinstance(t_s, int | float):
        return None
    return PulseLine(float(t_s), bool(values.get("end")), values)
