"""What is asked of the load engine, as ratios within one run, and whether it was reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol, TypeVar

from benchmarks.field import ENGINE, HEARD, JOURNEYS, PLAIN
from benchmarks.tables.closed import ClosedRow
from benchmarks.tables.ladder import LadderRow
from benchmarks.tables.memory import MemoryRow
from benchmarks.tables.open import OpenRow, WorkersPair
from benchmarks.tables.stalled import StallRow
from benchmarks.tables.startup import COMMANDS, StartupRow

__all__ = ["Ratio", "Tables", "ratios_of"]

# At most this much more memory at the end of a long run counts as flat.
_FLAT = 0.05
_LAG_RATE_PER_S = 2000.0


@dataclass(frozen=True, slots=True)
class Tables:
    """Every table of a run; one that was not asked for is empty."""

    closed: Sequence[ClosedRow] = ()
    open: Sequence[OpenRow] = ()
    workers: Sequence[WorkersPair] = ()
    ladder: Sequence[LadderRow] = ()
    stall: Sequence[StallRow] = ()
    journey: Sequence[ClosedRow] = ()
    startup: Sequence[StartupRow] = ()
    memory: Sequence[MemoryRow] = ()


@dataclass(frozen=True, slots=True)
class Ratio:
    """A number with what is asked of it: at least or at most ``target`` (None: nothing)."""

    name: str
    value: float
    target: float | None
    is_at_least: bool

    @property
    def is_reached(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.is_at_least else self.value <= self.target


class _Row(Protocol):
    @property
    def tool(self) -> str: ...


Row = TypeVar("Row", bound=_Row)


def ratios_of(tables: Tables) -> dict[str, list[Ratio]]:
    """Return the ratios by peer; ``surgeproof`` holds what is asked of it alone.

    Of a peer with several versions or settings the best counts. A ratio one of whose sides was
    not measured is not there.
    """
    found: dict[str, list[Ratio]] = {}
    for peer, ratio in (
        *_closed(tables.closed),
        *_journey(tables.journey),
        *_open([row for row in tables.open if row.rate_per_s == _LAG_RATE_PER_S]),
        *_ladder(tables.ladder),
        *_stall(tables.stall),
        *_workers(tables.workers),
        *_alone(tables),
    ):
        found.setdefault(peer, []).append(ratio)
    return found


def _at_least(name: str, value: float, target: float | None) -> Ratio:
    return Ratio(name, value, target, is_at_least=True)


def _at_most(name: str, value: float, target: float | None) -> Ratio:
    return Ratio(name, value, target, is_at_least=False)


def _named(rows: Iterable[Row], name: str) -> list[Row]:
    """Return the rows of a tool: of that name, or with a version or a setting behind it."""
    return [
        row for row in rows if row.tool == name or row.tool.startswith((f"{name} ", f"{name},"))
    ]


def _own(rows: Iterable[Row], name: str) -> Row | None:
    return next((row for row in rows if row.tool == name), None)


def _best(rows: Iterable[Row], name: str, value: Callable[[Row], float | None]) -> float | None:
    found = [each for row in _named(rows, name) if (each := value(row)) is not None]
    return max(found) if found else None


def _closed(rows: Sequence[ClosedRow]) -> Iterator[tuple[str, Ratio]]:
    asked = (
        ("k6", "k6", ENGINE, 5.0),
        ("vegeta", "vegeta", ENGINE, 3.0),
        ("fasthttpuser", "FastHttpUser", ENGINE, 10.0),
        ("k9", "k9 plan", ENGINE, 1.0),
        ("oha", "oha", ENGINE, None),
        ("wrk", "wrk", ENGINE, None),
        ("k6", "k6", HEARD, None),
        ("fasthttpuser", "FastHttpUser", HEARD, None),
        ("k6", "k6", JOURNEYS, 2.0),
        ("fasthttpuser", "FastHttpUser", JOURNEYS, 4.0),
        ("k9", "k9 script", JOURNEYS, 2.0),
        ("fasthttpuser", "FastHttpUser", PLAIN, None),
        ("httpuser", "HttpUser", PLAIN, None),
    )
    for peer, name, tool, target in asked:
        ours, theirs = _own(rows, tool), _best(rows, name, lambda row: row.per_s.median)
        if ours is not None and theirs:
            what = f"requests/s: {tool} / {name}"
            yield peer, _at_least(what, ours.per_s.median / theirs, target)


def _journey(rows: Sequence[ClosedRow]) -> Iterator[tuple[str, Ratio]]:
    for peer, name, target in (("k6", "k6", 2.0), ("fasthttpuser", "FastHttpUser", 4.0)):
        ours, theirs = _own(rows, ENGINE), _best(rows, name, lambda row: row.per_s.median)
        if ours is not None and theirs:
            what = f"stateful journeys/s: {ENGINE} / {name}"
            yield peer, _at_least(what, ours.per_s.median / theirs, target)


def _open(rows: Sequence[OpenRow]) -> Iterator[tuple[str, Ratio]]:
    ours = _own(rows, ENGINE)
    if ours is None:
        return
    asked = (
        ("vegeta", "vegeta", 1 / 3),
        ("k6", "k6", 1 / 5),
        ("oha", "oha", None),
        ("k9", "k9 plan", None),
        ("fasthttpuser", "FastHttpUser", None),
    )
    for peer, name, target in asked:
        theirs = _best(rows, name, lambda row: -row.lag_p99_s.median)
        if theirs:
            value = ours.lag_p99_s.median / -theirs
            yield peer, _at_most(f"lag p99 at 2000/s: {ENGINE} / {name}", value, target)
    theirs = _best(rows, "k6", lambda row: None if row.cpu_ratio is None else -row.cpu_ratio)
    if theirs and ours.cpu_ratio is not None:
        what = f"CPU at 2000/s, start-up aside: {ENGINE} / k6"
        yield "k6", _at_most(what, ours.cpu_ratio / -theirs, 1.0)
    yield (
        ENGINE,
        _at_least("share of 10 ms at 2000/s up to 1.2 x mean", ours.even_bins_ratio, 0.995),
    )
    yield ENGINE, _at_most("fullest 10 ms at 2000/s over the mean", ours.worst_bin_ratio, 2.0)


def _ladder(rows: Sequence[LadderRow]) -> Iterator[tuple[str, Ratio]]:
    ours = _own(rows, ENGINE)
    if ours is None or ours.held_per_s is None:
        return
    asked = (("k6", "k6", 8.0), ("vegeta", "vegeta", 3.0), ("k9", "k9 plan", None))
    for peer, name, target in (*asked, ("oha", "oha", None)):
        theirs = _best(rows, name, lambda row: row.held_per_s)
        if theirs:
            what = f"highest held rate: {ENGINE} / {name}"
            yield peer, _at_least(what, ours.held_per_s / theirs, target)
    if ours.delivered_ratio is not None:
        what = "delivered when twice the highest held rate is asked, over it"
        yield ENGINE, _at_least(what, ours.delivered_ratio, 0.8)


def _stall(rows: Sequence[StallRow]) -> Iterator[tuple[str, Ratio]]:
    for row in _named(rows, ENGINE):
        if row.worst_error is not None:
            what = f"greatest error of p50, p90, p99, max through stalls: {row.tool}"
            yield ENGINE, _at_most(what, row.worst_error, 0.02)


def _workers(pairs: Sequence[WorkersPair]) -> Iterator[tuple[str, Ratio]]:
    if not pairs:
        return
    lag = median(pair.two_lag_p99_s / pair.one_lag_p99_s for pair in pairs)
    missed = max(abs(pair.two_arrivals - pair.asked) for pair in pairs)
    yield ENGINE, _at_most("lag p99 of two workers / of one", lag, 2.0)
    yield ENGINE, _at_most("arrivals of two workers more or less than asked", float(missed), 0.0)


def _alone(tables: Tables) -> Iterator[tuple[str, Ratio]]:
    for row in tables.startup:
        if row.tool in COMMANDS:
            yield ENGINE, _at_most(f"seconds of {row.tool!r}", row.over_s.median, 0.3)
    for each in tables.memory:
        what = f"growth of memory over {each.requests} requests"
        yield ENGINE, _at_most(what, each.growth_ratio, _FLAT)
