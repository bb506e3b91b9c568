"""Numbers as people read them in a report: ms, percent and thousands; a dash for no data."""

from __future__ import annotations

import math
import re
import unicodedata

__all__ = [
    "NOTHING",
    "clip",
    "count_text",
    "delta_text",
    "plain",
    "plural",
    "quantity_text",
    "rate_text",
    "ratio_text",
    "seconds_text",
    "span_text",
]

NOTHING = "\N{EN DASH}"
_GAP = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"


def seconds_text(value_s: float | None) -> str:
    """Return a duration of ``value_s`` seconds as ``412 ms`` or ``1.24 s``."""
    if value_s is None or not math.isfinite(value_s):
        return NOTHING
    size = abs(value_s)
    if size >= 100:
        return f"{value_s:,.0f}{_GAP}s"
    if size >= 1:
        return f"{_three(value_s)}{_GAP}s"
    return f"{_three(value_s * 1e3)}{_GAP}ms"


def span_text(duration_s: float) -> str:
    """Return how long something took: ``48 s``, ``2 min 08 s`` or ``1 h 05 min``."""
    whole = round(duration_s)
    if whole < 60:
        return f"{whole}{_GAP}s"
    if whole < 3600:
        return f"{whole // 60}{_GAP}min {whole % 60:02d}{_GAP}s"
    return f"{whole // 3600}{_GAP}h {whole % 3600 // 60:02d}{_GAP}min"


def ratio_text(ratio: float | None) -> str:
    """Return a ratio 0..1 in percent; a small one is never rounded to none at all."""
    if ratio is None or not math.isfinite(ratio):
        return NOTHING
    percent = ratio * 100
    if percent != 0 and abs(percent) < 0.01:
        return f"<{_GAP}0.01{_GAP}%"
    # 99.997 % is not all of it: digits are cut and not rounded up to the whole.
    if 99.9 < percent < 100:
        percent = math.floor(percent * 1000) / 1000
        return f"{percent:.3f}".rstrip("0") + f"{_GAP}%"
    return f"{_three(percent)}{_GAP}%"


def rate_text(rate_per_s: float | None) -> str:
    """Return a rate per second."""
    if rate_per_s is None or not math.isfinite(rate_per_s):
        return NOTHING
    return f"{_three(rate_per_s)}/s"


def count_text(count: float | None) -> str:
    """Return a count with thousands set apart."""
    if count is None or not math.isfinite(count):
        return NOTHING
    return f"{count:,.0f}"


def quantity_text(value: float | None, unit: str) -> str:
    """Return ``value`` in the words of its base unit: ``s``, ``ratio``, ``per_s`` or ``count``."""
    if value is None:
        return NOTHING
    if unit == "s":
        return seconds_text(value)
    if unit == "ratio":
        return ratio_text(value)
    if unit == "per_s":
        return rate_text(value)
    if unit == "count":
        return count_text(value)
    return _three(value)


def delta_text(change_s: float | None) -> str:
    """Return a change of a duration with its sign: ``+310 ms``."""
    if change_s is None or not math.isfinite(change_s):
        return NOTHING
    if abs(change_s) < 0.0005:
        return f"±0{_GAP}ms"
    return ("+" if change_s > 0 else _MINUS) + seconds_text(abs(change_s))


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return ``1 gate`` or ``3 gates``."""
    return f"{count_text(count)} {one if count == 1 else many or one + 's'}"


def plain(text: object) -> str:
    """Return text without control and direction-changing characters, on one line.

    Names come from routes and servers that a stranger may have chosen.
    """
    joined = re.sub(r"\s+", " ", str(text))
    return "".join(sign for sign in joined if unicodedata.category(sign) not in {"Cc", "Cf", "Cs"})


def clip(text: object, length: int) -> str:
    """Return `plain` text of at most ``length`` signs, with an ellipsis where it was cut."""
    cleaned = plain(text)
    return cleaned if len(cleaned) <= length else cleaned[: max(length - 1, 1)] + "…"


def _three(number: float) -> str:
    """Return about three significant digits, never in scientific notation."""
    size = abs(number)
    if size >= 1000:
        return f"{number:,.0f}"
    if size >= 100 or number == 0:
        return f"{number:.0f}"
    digits = 1 if size >= 10 else 2 if size >= 1 else 3
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
