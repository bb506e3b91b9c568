"""Saying that an answer is less than it should be: the ``Degraded`` header and body field."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Degradation", "parse_degraded", "to_header"]

# A structured-field token, so that no value can break out of the header.
_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9_.:*/-]*")


@dataclass(frozen=True, slots=True)
class Degradation:
    """One feature that was answered by a fallback.

    ``feature`` is what the reader misses (feed, counters), ``mode`` how it was answered instead
    (recency, pull, cached, stale), ``cause`` the edge that was lost, ``age_s`` how old the data
    may be, ``None`` where age is not the point.
    """

    feature: str
    mode: str
    cause: str
    age_s: float | None = None

    def __post_init__(self) -> None:
        for word in (self.feature, self.mode, self.cause):
            if not _TOKEN.fullmatch(word):
                raise ValueError(f"no token: {word!r} (accepted: letters, digits and _ . : * / -)")

    def __str__(self) -> str:
        age = "" if self.age_s is None else f";age={max(round(self.age_s), 0)}"
        return f"{self.feature};mode={self.mode};cause={self.cause}{age}"


def to_header(degradations: Sequence[Degradation]) -> str:
    """Return the header's value: each degradation once, in the order of marking."""
    return ", ".join(dict.fromkeys(str(each) for each in degradations))


def parse_degraded(items: Sequence[str]) -> list[Degradation]:
    """Read the items of another service's header or body; an item of another form is skipped."""
    found: list[Degradation] = []
    for item in items:
        feature, *parameters = (part.strip() for part in item.split(";"))
        values = dict(part.split("=", 1) for part in parameters if "=" in part)
        age = values.get("age", "")
        try:
            found.append(
                Degradation(
                    feature,
                    values.get("mode", ""),
                    values.get("cause", ""),
                    float(age) if age.isdigit() else None,
                )
            )
        except ValueError:
            continue
    return found
