"""What the engine's thread hands to the process's main thread: samples, drops, ledger and counts.

One thread fills, the other drains; both sides only use operations of `list`, `deque` and `int`
that the interpreter makes atomic, for locks shared with a gevent-patched thread are to be avoided.
A sample is one packed row of numbers: words (names, outcomes, kinds of error) are codes into
tables that only grow, so that a second of load is a few columns and no objects.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from surgeproof.model.words import Outcome

__all__ = [
    "OUTCOMES",
    "PACK",
    "REDIRECTED",
    "SAMPLE_ROW",
    "DropRow",
    "LedgerRow",
    "Recorder",
    "SampleRow",
    "Words",
]

# What a request's name ends in where a redirect led to it.
REDIRECTED = " (redirected)"

# In the order of their codes.
OUTCOMES: tuple[Outcome, ...] = tuple(Outcome)

SAMPLE_ROW = np.dtype(
    [
        ("intended_s", "<f8"),
        ("start_s", "<f8"),
        ("first_byte_s", "<f8"),
        ("end_s", "<f8"),
        ("session", "<u8"),
        ("sent_bytes", "<u8"),
        ("received_bytes", "<u8"),
        ("label", "<u4"),
        ("degraded", "<u4"),
        ("error_kind", "<u2"),
        ("phase", "<u2"),
        ("step", "<u2"),
        ("status", "<u2"),
        ("outcome", "u1"),
        ("attempt", "u1"),
    ]
)
PACK = struct.Struct("<4d3Q2I4H2B").pack
# Packing a row costs a third of a microsecond; what is gathered per look is bounded all the same,
# so that a main thread that was held up does not hold up the engine in turn.
_MOST_ROWS = 50_000

Rows = NDArray[np.void]


class SampleRow(NamedTuple):
    """One attempt; the columns of `surgeproof.journal.samples.SAMPLE_SCHEMA`. None is null."""

    intended_s: float
    start_s: float | None
    first_byte_s: float | None
    end_s: float | None
    generator: int
    session: int
    step: int
    attempt: int
    name: str
    method: str
    tier: str
    phase: str
    outcome: str
    error_kind: str
    degraded: str
    status: int
    sent_bytes: int | None
    received_bytes: int | None
    items: int | None = None
    items_full: int | None = None
    trace_id: str | None = None


class DropRow(NamedTuple):
    """One arrival that was never sent; the columns of ``DROP_SCHEMA``."""

    intended_s: float
    name: str
    tier: str
    phase: str


class LedgerRow(NamedTuple):
    """One line of the ledger."""

    t_s: float
    kind: str
    key: str
    outcome: str


class Words:
    """A table of words that only grows; a word's code is its place."""

    __slots__ = ("_codes", "words")

    def __init__(self, *words: str) -> None:
        self.words: list[str] = []
        self._codes: dict[str, int] = {}
        for word in words:
            self.code(word)

    def code(self, word: str) -> int:
        """Return the code of a word, adding it if it is new."""
        code = self._codes.get(word)
        if code is None:
            # Readers look at `words` by codes that they have seen, so the word comes first.
            self.words.append(word)
            code = self._codes[word] = len(self.words) - 1
        return code

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True, slots=True)
class Label:
    """What all samples of one request have in common, as codes into the recorder's tables."""

    name: int
    method: int
    tier: int


class Recorder:
    """Filled by the engine's thread with `sample` and the counters, drained by the main one.

    ``sent`` counts arrivals whose first request went out (or was tried) and ``late`` those that
    started more than ``late_after_s`` behind their moment, both as far as they have been taken.
    ``completed`` counts arrivals whose journey is over, ``dropped`` those never sent;
    ``drops`` holds their places in the schedule. ``loop_lags`` are seconds; ``beat_s`` is when the
    engine's loop last woke to measure one (CLOCK_MONOTONIC, 0 before the first).
    """

    __slots__ = (
        "_label_codes",
        "_late_after_s",
        "_tiers",
        "beat_s",
        "completed",
        "degraded",
        "dropped",
        "drops",
        "error_kinds",
        "in_flight",
        "labels",
        "late",
        "ledger",
        "loop_lags",
        "methods",
        "names",
        "packed",
        "queued",
        "sent",
        "tiers",
        "waited",
    )

    def __init__(
        self, tiers: Mapping[str, str] | None = None, *, late_after_s: float = 0.01
    ) -> None:
        self.packed: list[bytes] = []
        self.drops: list[int] = []
        self.ledger: deque[LedgerRow] = deque()
        self.loop_lags: deque[float] = deque()
        # Code 0 is the empty word in each of these.
        self.names, self.methods, self.tiers = Words(""), Words(""), Words("")
        self.error_kinds, self.degraded = Words(""), Words("")
        self.labels: list[Label] = []
        self._label_codes: dict[tuple[str, str], int] = {}
        self._tiers = dict(tiers or {})
        self._late_after_s = late_after_s
        self.sent = self.late = self.completed = self.dropped = 0
        self.in_flight = self.queued = self.waited = 0
        self.beat_s = 0.0

    # -- the engine's thread ----------------------------------------------------------------------

    def label(self, name: str, method: str) -> int:
        """Return the code of a request's name and method; its tier is that of the plan."""
        code = self._label_codes.get((name, method))
        if code is None:
            tier = self._tiers.get(name.removesuffix(REDIRECTED), "")
            label = Label(self.names.code(name), self.methods.code(method), self.tiers.code(tier))
            self.labels.append(label)
            code = self._label_codes[name, method] = len(self.labels) - 1
        return code

    def sample(  # noqa: PLR0917 - called for each request, and keywords cost time
        self,
        intended_s: float,
        start_s: float,
        first_byte_s: float,
        end_s: float,
        session: int,
        sent_bytes: int,
        received_bytes: int,
        label: int,
        degraded: int,
        error_kind: int,
        phase: int,
        step: int,
        status: int,
        outcome: int,
        attempt: int = 1,
    ) -> None:
        """Note one attempt; the parameters are the columns of `SAMPLE_ROW`, NaN for never."""
        self.packed.append(
            PACK(
                intended_s,
                start_s,
                first_byte_s,
                end_s,
                session,
                sent_bytes,
                received_bytes,
                label,
                degraded,
                error_kind,
                phase,
                step,
                status,
                outcome,
                attempt,
            )
        )

    # -- the main thread --------------------------------------------------------------------------

    def take(self) -> Rows:
        """Return the samples noted since the last call (50,000 at most), as `SAMPLE_ROW`."""
        count = min(len(self.packed), _MOST_ROWS)
        # Each of the two is one step of the interpreter, and the other thread only appends.
        packed = self.packed[:count]
        del self.packed[:count]
        rows = np.frombuffer(b"".join(packed), dtype=SAMPLE_ROW)
        first = rows[(rows["step"] == 1) & (rows["attempt"] == 1)]
        self.sent += len(first)
        lag_s = first["start_s"] - first["intended_s"]
        # An arrival that never got to the network is as late as can be.
        self.late += int(np.count_nonzero(~(lag_s <= self._late_after_s)))
        return rows

    def take_drops(self) -> NDArray[np.int64]:
        """Return the places in the schedule of arrivals dropped since the last call."""
        count = len(self.drops)
        places = np.array(self.drops[:count], dtype=np.int64)
        del self.drops[:count]
        return places

    def tiers_of(self, names: Sequence[str]) -> list[str]:
        """Return the plan's tier of each request, empty where it has none."""
        return [self._tiers.get(name, "") for name in names]

    def row(self, generator: int, phase: str, values: tuple[object, ...]) -> SampleRow:
        """Return one sample in words; ``values`` are a row of `take` as plain values."""
        row = dict(zip(SAMPLE_ROW.names or (), values, strict=True))
        label = self.labels[_count(row["label"])]
        return SampleRow(
            intended_s=_number(row["intended_s"]) or 0.0,
            start_s=_number(row["start_s"]),
            first_byte_s=_number(row["first_byte_s"]),
            end_s=_number(row["end_s"]),
            generator=generator,
            session=_count(row["session"]),
            step=_count(row["step"]),
            attempt=_count(row["attempt"]),
            name=self.names.words[label.name],
            method=self.methods.words[label.method],
            tier=self.tiers.words[label.tier],
            phase=phase,
            outcome=str(OUTCOMES[_count(row["outcome"])]),
            error_kind=self.error_kinds.words[_count(row["error_kind"])],
            degraded=self.degraded.words[_count(row["degraded"])],
            status=_count(row["status"]),
            sent_bytes=_count(row["sent_bytes"]),
            received_bytes=_count(row["received_bytes"]),
        )


def _number(value: object) -> float | None:
    number = value if isinstance(value, float) else nan
    return None if number != number else number  # noqa: PLR0124 - NaN alone differs from itself


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
