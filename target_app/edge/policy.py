"""How each edge must be called, as declared in ``edges.toml``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "BreakerPolicy",
    "EdgePolicy",
    "PolicyError",
    "RetryPolicy",
    "load_policies",
    "parse_duration_s",
    "parse_ratio",
]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0}
_RATIO = re.compile(r"(\d+(?:\.\d+)?)\s*%")


class PolicyError(ValueError):
    """The edge table has mistakes; the message lists all of them, one a line."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most ``max`` retries a call, and ``budget_ratio`` retries per call over all calls."""

    max: int = 1
    budget_ratio: float = 0.1


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When to stop calling, and how to find out that calling works again."""

    window_s: float = 10.0
    min_calls: int = 20
    open_at_ratio: float = 0.5
    half_open_probes: int = 3
    cool_down_s: float = 2.0


@dataclass(frozen=True, slots=True)
class EdgePolicy:
    """One row of the edge table; ``fallback`` is a word, ``none`` where there is none."""

    name: str
    dependency: str
    origin: str
    target: str
    upstream: str
    timeout_s: float
    max_in_flight: int
    retry: RetryPolicy
    breaker: BreakerPolicy
    fallback: str


def parse_duration_s(text: str) -> float:
    """Return the seconds of a duration such as ``250ms``, ``2s`` or ``1.5m``."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"no duration: {text!r} (accepted: a number with ms, s or m)")
    return float(match[1]) * _UNIT_S[match[2]]


def parse_ratio(text: str) -> float:
    """Return the ratio (0 to 1) of a percentage such as ``10%``."""
    match = _RATIO.fullmatch(text.strip())
    if match is None or float(match[1]) > 100:
        raise ValueError(f"no percentage: {text!r} (accepted: 0% to 100%)")
    return float(match[1]) / 100


def load_policies(path: Path) -> dict[str, EdgePolicy]:
    """Read the edge table, in file order; raise :class:`PolicyError` with every mistake."""
    with path.open("rb") as file:
        rows = tomllib.load(file).get("edge", [])
    mistakes: list[str] = []
    policies: dict[str, EdgePolicy] = {}
    for number, row in enumerate(rows, start=1):
        reader = _Row(row, f"{path.name}: edge {number}", mistakes)
        policy = _read_edge(reader)
        if policy.name in policies:
            mistakes.append(f"{reader.place}: name {policy.name!r} is declared twice")
        policies[policy.name] = policy
    if mistakes:
        raise PolicyError("\n".join(mistakes))
    return policies


class _Row:
    """One TOML table with typed reads that note mistakes instead of raising."""

    def __init__(self, table: object, place: str, mistakes: list[str]) -> None:
        self._table: Mapping[str, object] = table if isinstance(table, dict) else {}
        self._unread = set(self._table)
        self._mistakes = mistakes
        self.place = place

    def text(self, key: str, default: str | None = None) -> str:
        value = self._take(key, default)
        if not isinstance(value, str):
            self._note(key, value, "a string")
            return ""
        return value

    def count(self, key: str, default: int) -> int:
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self._note(key, value, "a whole number, 0 or more")
            return default
        return value

    def duration_s(self, key: str, default: str | None = None) -> float:
        return self._parsed(key, default, parse_duration_s)

    def ratio(self, key: str, default: str) -> float:
        return self._parsed(key, default, parse_ratio)

    def table(self, key: str) -> _Row:
        value = self._take(key, {})
        if not isinstance(value, dict):
            self._note(key, value, "a table")
        return _Row(value, f"{self.place}: {key}", self._mistakes)

    def ignore(self, key: str) -> None:
        """Leave a key to somebody else's reading."""
        self._unread.discard(key)

    def close(self) -> None:
        """Note every key that nobody read."""
        for key in sorted(self._unread):
            self._mistakes.append(f"{self.place}: unknown key {key!r}")

    def _parsed(self, key: str, default: str | None, parse: Callable[[str], float]) -> float:
        value = self._take(key, default)
        try:
            return parse(value if isinstance(value, str) else repr(value))
        except ValueError as error:
            self._mistakes.append(f"{self.place}: {key}: {error}")
            return 0.0

    def _take(self, key: str, default: object) -> object:
        self._unread.discard(key)
        return self._table.get(key, default)

    def _note(self, key: str, value: object, accepted: str) -> None:
        self._mistakes.append(f"{self.place}: {key} is {value!r} (accepted: {accepted})")


def _read_edge(row: _Row) -> EdgePolicy:
    # How far away the other end is: made true by whoever makes the proxies.
    row.ignore("distance")
    retry = row.table("retry")
    breaker = row.table("breaker")
    policy = EdgePolicy(
        name=row.text("name"),
        dependency=row.text("dependency"),
        origin=row.text("from"),
        target=row.text("to"),
        upstream=row.text("upstream"),
        timeout_s=row.duration_s("timeout"),
        max_in_flight=row.count("max_in_flight", 64),
        retry=RetryPolicy(max=retry.count("max", 1), budget_ratio=retry.ratio("budget", "10%")),
        breaker=BreakerPolicy(
            window_s=breaker.duration_s("window", "10s"),
            min_calls=breaker.count("min_calls", 20),
            open_at_ratio=breaker.ratio("open_at", "50%"),
            half_open_probes=breaker.count("half_open_probes", 3),
            cool_down_s=breaker.duration_s("cool_down", "2s"),
        ),
        fallback=row.text("fallback", "none"),
    )
    for part in (retry, breaker, row):
        part.close()
    return policy
