"""Quantities as people write them, and back: times, sizes, rates and ratios always carry units.

Inside the package everything is seconds, bytes, per second and ratios 0..1; the other units
live only at the edges (plan files, gates, print).
"""

from __future__ import annotations

import re
from decimal import Decimal

from surgeproof.errors import UsageError

__all__ = [
    "format_duration",
    "format_ratio",
    "parse_duration",
    "parse_rate",
    "parse_ratio",
    "parse_size",
]

_NUMBER = r"(?P<number>[+-]?\d+(?:\.\d+)?)"
_DURATION_PART = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>us|ms|s|m|h|d)")
_DURATION_UNITS = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_SIZE = re.compile(_NUMBER + r"\s*(?P<unit>B|KB|MB|GB|KiB|MiB|GiB)")
_SIZE_UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_RATE = re.compile(_NUMBER + r"\s*/\s*(?P<unit>s|m|h)")
_RATE_UNITS = {"s": 1, "m": 60, "h": 3600}
_PERCENT = re.compile(_NUMBER + r"\s*%")


def parse_duration(text: str) -> float:
    """Return seconds for ``"300ms"``, ``"1.5s"``, ``"2m"`` or ``"1m30s"``.

    Raises:
        UsageError: a unit is missing or unknown, or the text is no duration.
    """
    stripped = text.strip()
    total, position = Decimal(0), 0
    for part in _DURATION_PART.finditer(stripped):
        if part.start() != position:
            break
        total += Decimal(part["number"]) * _DURATION_UNITS[part["unit"]]
        position = part.end()
    if not stripped or position != len(stripped):
        raise UsageError(_complaint(text, "duration", "a number with one of us, ms, s, m, h, d"))
    return float(total)


def parse_size(text: str) -> int:
    """Return bytes for ``"64KB"`` (1000) or ``"64KiB"`` (1024).

    Raises:
        UsageError: a unit is missing or unknown, or the text is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or Decimal(match["number"]) < 0:
        raise UsageError(_complaint(text, "size", "a number with one of " + ", ".join(_SIZE_UNITS)))
    return int(Decimal(match["number"]) * _SIZE_UNITS[match["unit"]])


def parse_rate(text: str) -> float:
    """Return a rate per second for ``"80/s"``, ``"600/m"`` or ``"1000/h"``.

    Raises:
        UsageError: the unit is missing, or the text is no rate.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None or Decimal(match["number"]) < 0:
        raise UsageError(_complaint(text, "rate", "a number with one of /s, /m, /h"))
    return float(Decimal(match["number"]) / _RATE_UNITS[match["unit"]])


def parse_ratio(text: str) -> float:
    """Return a ratio for ``"0.1%"`` (0.001).

    Raises:
        UsageError: the percent sign is missing, or the text is no number.
    """
    match = _PERCENT.fullmatch(text.strip())
    if match is None:
        raise UsageError(_complaint(text, "ratio", "a number with %"))
    return float(Decimal(match["number"]) / 100)


def format_duration(duration_s: float) -> str:
    """Return a short human form, which `parse_duration` reads back: ``0.3`` is ``300ms``."""
    if duration_s < 0:
        return "-" + format_duration(-duration_s)
    if 0 < duration_s < 0.001:
        return f"{_short(duration_s * 1e6)}us"
    if 0 < duration_s < 1:
        return f"{_short(duration_s * 1e3)}ms"
    if duration_s < 60:
        return f"{_short(duration_s)}s"
    minutes, seconds = divmod(duration_s, 60)
    text = f"{int(minutes)}m"
    return text + f"{_short(seconds)}s" if round(seconds, 3) else text


def format_ratio(ratio: float) -> str:
    """Return a ratio in percent: ``0.001`` is ``0.1%``."""
    return f"{_short(ratio * 100)}%"


def _short(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")


def _complaint(text: str, quantity: str, accepted: str) -> str:
    hint = ", the unit is missing" if re.fullmatch(_NUMBER, text.strip()) else ""
    return f"{text!r} is no {quantity}{hint}; accepted: {accepted}"
