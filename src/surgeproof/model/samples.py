"""The samples of a run as arrays: what `slo` computes from and `journal` loads."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Drops", "Labels", "Samples"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Labels:
    """A column of repeated strings: ``words[codes[i]]`` is the value of row ``i``."""

    codes: NDArray[np.int32]
    words: tuple[str, ...]

    def equal(self, word: str) -> NDArray[np.bool_]:
        """Return the mask of rows that hold ``word``."""
        if word not in self.words:
            return np.zeros(len(self.codes), dtype=np.bool_)
        return np.asarray(self.codes == self.words.index(word))

    def take(self, mask: NDArray[Any]) -> Labels:
        return Labels(self.codes[mask], self.words)

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, values: list[str]) -> Labels:
        """Return the column that holds ``values``; words sorted."""
        words = tuple(sorted(set(values)))
        position = {word: code for code, word in enumerate(words)}
        return cls(np.array([position[value] for value in values], dtype=np.int32), words)


@dataclass(frozen=True, slots=True)
class Samples:
    """All attempts of a run, in order of intended start; every array has the same length.

    Times are seconds since t0 with NaN for never. ``items`` and ``items_full`` are -1 where the
    answer has no such count. Contract: `docs/journal.md`.
    """

    intended_s: Floats
    start_s: Floats
    first_byte_s: Floats
    end_s: Floats
    generator: NDArray[np.uint16]
    session: NDArray[np.uint64]
    step: NDArray[np.uint16]
    attempt: NDArray[np.uint8]
    name: Labels
    method: Labels
    tier: Labels
    phase: Labels
    outcome: Labels
    error_kind: Labels
    degraded: Labels
    status: NDArray[np.uint16]
    sent_bytes: NDArray[np.uint64]
    received_bytes: NDArray[np.uint64]
    items: NDArray[np.int32]
    items_full: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.intended_s)

    @property
    def response_time_s(self) -> Floats:
        """End minus *intended* start; NaN for an attempt that never ended."""
        return self.end_s - self.intended_s

    @property
    def service_time_s(self) -> Floats:
        """End minus actual send."""
        return self.end_s - self.start_s

    def take(self, mask: NDArray[Any]) -> Samples:
        """Return the rows that a boolean mask or an index array selects."""
        columns: dict[str, Any] = {}
        for column in fields(self):
            value = getattr(self, column.name)
            columns[column.name] = value.take(mask) if isinstance(value, Labels) else value[mask]
        return Samples(**columns)


@dataclass(frozen=True, slots=True)
class Drops:
    """Arrivals that were never sent. They count as bad in every ratio SLI."""

    intended_s: Floats
    name: Labels
    tier: Labels
    phase: Labels

    def __len__(self) -> int:
        return len(self.intended_s)

    def take(self, mask: NDArray[Any]) -> Drops:
        return Drops(
            self.intended_s[mask],
            self.name.take(mask),
            self.tier.take(mask),
            self.phase.take(mask),
        )
