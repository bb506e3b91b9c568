"""What the engine's thread hands to the process's main thread: rows, counts and lags.

One thread fills, the other drains; both sides only use operations of `deque` and `int` that the
interpreter makes atomic, for locks shared with a gevent-patched thread are to be avoided.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

__all__ = ["DropRow", "LedgerRow", "Recorder", "SampleRow"]


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


class Recorder:
    """Filled by the engine, drained by the process's main loop.

    ``sent`` counts arrivals whose first request went out (or was tried), ``completed`` those
    whose journey is over, ``dropped`` those never sent; ``lags`` and ``loop_lags`` are seconds.
    """

    __slots__ = (
        "completed",
        "dropped",
        "drops",
        "in_flight",
        "lags",
        "late",
        "ledger",
        "loop_lags",
        "queued",
        "samples",
        "sent",
    )

    def __init__(self) -> None:
        self.samples: deque[SampleRow] = deque()
        self.drops: deque[DropRow] = deque()
        self.ledger: deque[LedgerRow] = deque()
        self.lags: deque[float] = deque()
        self.loop_lags: deque[float] = deque()
        self.sent = 0
        self.late = 0
        self.completed = 0
        self.dropped = 0
        self.in_flight = 0
        self.queued = 0
