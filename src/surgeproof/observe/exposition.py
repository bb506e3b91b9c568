"""The Prometheus text exposition format 0.0.4, read strictly enough to trust the numbers.

Grammar (Prometheus documentation, "Exposition formats")::

    line  = name [ "{" label "=" '"' value '"' { "," … } [","] "}" ] value [ timestamp ]
    value = a Go float: 1, -1.5e3, +Inf, -Inf, NaN

Comments (``#``) and blank lines are passed over, so are OpenMetrics exemplars (``# {…}``).
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field

from surgeproof.errors import FormatError

__all__ = ["Exposition", "Reading", "SeriesKey", "render_labels"]

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_QUOTED = r'"(?:[^"\\\n]|\\.)*"'
_LINE = re.compile(
    rf"(?P<head>(?P<name>{_NAME})[ \t]*(?:\{{(?P<labels>(?:[^\"}}]|{_QUOTED})*)\}})?)"
    r"[ \t]*(?P<value>[^\s{}#]+)(?:[ \t]+-?[\d.]+)?[ \t]*(?:#.*)?"
)
_LABEL = re.compile(rf"[ \t]*(?P<name>{_NAME})[ \t]*=[ \t]*(?P<value>{_QUOTED})[ \t]*(?:,|$)")
_ESCAPE = re.compile(r"\\(.)")
_FIRST_OF_NAME = frozenset(string.ascii_letters + "_:")
_ESCAPED = {"n": "\n", "\\": "\\", '"': '"'}


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """A metric's name and its labels, sorted by label name."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def label(self, name: str) -> str:
        """Return a label's value, empty if it is not there (as PromQL has it)."""
        return next((value for key, value in self.labels if key == name), "")

    def with_labels(self, extra: Mapping[str, str]) -> SeriesKey:
        """Return the key with ``extra`` labels, which win over its own."""
        return SeriesKey(self.name, tuple(sorted({**dict(self.labels), **extra}.items())))


@dataclass(frozen=True, slots=True)
class Reading:
    """One series' value at one scrape; may be NaN or infinite."""

    key: SeriesKey
    value: float


@dataclass(slots=True)
class Exposition:
    """A reader for one process' pages: it remembers the heads of lines it has seen.

    The same few hundred series come back each second, so parsing labels once is most of the
    saving. Not safe to share between threads.
    """

    prefixes: tuple[str, ...] = ()  # metric names to keep; all when empty
    _seen: dict[str, SeriesKey] = field(default_factory=dict)

    def read(self, text: str) -> list[Reading]:
        """Return the readings of a page in its order.

        Raises:
            FormatError: a line is no sample, no comment and not blank.
        """
        readings = []
        # Not splitlines: a label may hold any of the other characters that it would cut at.
        for number, raw in enumerate(text.split("\n"), start=1):
            line = raw.strip(" \t\r")
            if line and line[0] != "#" and self._is_wanted(line):
                readings.append(self._read_line(line, number))
        return readings

    def _is_wanted(self, line: str) -> bool:
        """Say whether a line must be read; one that cannot be a sample must, to be refused."""
        return not self.prefixes or line.startswith(self.prefixes) or line[0] not in _FIRST_OF_NAME

    def _read_line(self, line: str, number: int) -> Reading:
        match = _LINE.fullmatch(line)
        if match is None:
            raise FormatError(f"line {number} is no metric sample: {line[:120]!r}")
        head = match["head"]
        key = self._seen.get(head)
        if key is None:
            labels = _read_labels(match["labels"] or "", number)
            key = SeriesKey(match["name"], tuple(sorted(labels.items())))
            self._seen[head] = key
        try:
            return Reading(key, float(match["value"]))
        except ValueError as error:
            message = f"line {number} has no number as value: {match['value']!r}"
            raise FormatError(message) from error


def render_labels(labels: Mapping[str, str]) -> str:
    """Return ``{a="1",b="x"}`` with values escaped; empty for no labels."""
    if not labels:
        return ""
    inside = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return "{" + inside + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _read_labels(text: str, number: int) -> dict[str, str]:
    labels: dict[str, str] = {}
    position = 0
    while position < len(text.rstrip()):
        match = _LABEL.match(text, position)
        if match is None:
            raise FormatError(f"line {number} has labels that cannot be read: {text[:120]!r}")
        raw = match["value"][1:-1]
        labels[match["name"]] = _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[0]), raw)
        position = match.end()
    return labels
