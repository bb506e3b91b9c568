"""What a fault did to an endpoint, as one word: the cells of the degradation table."""

from __future__ import annotations

from dataclasses import dataclass

from surgeproof.report.result_file import Degradation, Measures
from surgeproof.report.wording import NOTHING, delta_text, ratio_text

__all__ = ["LEGEND", "Effect", "FaultCost", "costliest", "effect_of"]

# A share that rose by a point is more than one unlucky request in a table cell of some hundred.
_SHARE_RISE = 0.01
# Loopback tails double by themselves at a few ms: slower means half as much again and 50 ms.
_SLOWER_FACTOR, _SLOWER_S = 1.5, 0.05

LEGEND = (
    ("✕", "fails", "errors rose by 1 point or more (wrong and dropped included)"),
    ("▽", "sheds", "refused with Retry-After: 1 point more or above"),
    ("◐", "degrades", "answered in part and said so: 1 point more or above"),
    ("▲", "slower", "p99 half as much again and at least 50 ms more"),
    ("●", "holds", "none of these"),
)


@dataclass(frozen=True, slots=True)
class Effect:
    """The gravest change, and the numbers that the cell shows."""

    symbol: str
    word: str
    change: str  # of p99, in words
    shares: tuple[str, ...]  # what rose, in words, gravest first
    count: int


def effect_of(row: Degradation) -> Effect:
    """Return the effect on one endpoint of one fault; without samples it says so."""
    before, during = row.before, row.during
    if not during.count:
        return Effect(NOTHING, "no data", "", (), 0)
    shares = tuple(
        f"{ratio_text(value)} {word}"
        for word, value in (
            ("error", during.error_ratio),
            ("shed", during.shed_ratio),
            ("degraded", during.degraded_ratio),
        )
        if value
    )
    symbol, word = _gravest(before, during)
    return Effect(symbol, word, delta_text(p99_change_s(row)), shares, during.count)


def p99_change_s(row: Degradation) -> float | None:
    """Return how much the p99 rose during the fault, or None where one side has none."""
    if row.during.p99_s is None or row.before.p99_s is None:
        return None
    return row.during.p99_s - row.before.p99_s


@dataclass(frozen=True, slots=True)
class FaultCost:
    """The fault that hurt most, told by the endpoint that it hurt most."""

    row: Degradation
    hurts: bool


def costliest(rows: tuple[Degradation, ...]) -> FaultCost | None:
    """Return the costliest cell: failing weighs most, then shedding, degrading and slowness."""
    filled = [row for row in rows if row.during.count]
    if not filled:
        return None
    row = min(filled, key=_cost)
    return FaultCost(row, effect_of(row).word != "holds")


def _gravest(before: Measures, during: Measures) -> tuple[str, str]:
    if _rise(before.error_ratio, during.error_ratio) >= _SHARE_RISE:
        return "✕", "fails"
    if _rise(before.shed_ratio, during.shed_ratio) >= _SHARE_RISE:
        return "▽", "sheds"
    if _rise(before.degraded_ratio, during.degraded_ratio) >= _SHARE_RISE:
        return "◐", "degrades"
    if before.p99_s is not None and during.p99_s is not None:
        change_s = during.p99_s - before.p99_s
        if change_s >= _SLOWER_S and during.p99_s >= before.p99_s * _SLOWER_FACTOR:
            return "▲", "slower"
    return "●", "holds"


def _rise(before: float | None, during: float | None) -> float:
    return (during or 0.0) - (before or 0.0)


def _cost(row: Degradation) -> tuple[float, float, str, str]:
    """Order cells, the dearest first: an error counts ten degraded answers, a shed one three."""
    before, during = row.before, row.during
    shares = (
        10 * _rise(before.error_ratio, during.error_ratio)
        + 3 * _rise(before.shed_ratio, during.shed_ratio)
        + _rise(before.degraded_ratio, during.degraded_ratio)
    )
    return -round(max(shares, 0.0), 3), -(p99_change_s(row) or 0.0), row.tier, row.endpoint
