"""How bad a text is: a list of phrases with weights, and the habits of spam."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["REJECT_AT", "REVIEW_AT", "score", "verdict"]

REVIEW_AT = 0.5
REJECT_AT = 0.9

_PHRASES = {
    "kill yourself": 1.0,
    "buy followers": 0.9,
    "double your bitcoin": 0.9,
    "free crypto": 0.6,
    "guaranteed profit": 0.6,
    "send gift cards": 0.6,
    "work from home and earn": 0.5,
    "click my link": 0.5,
    "follow for follow": 0.3,
    "limited offer": 0.3,
}
_PATTERN = re.compile(r"\b(?:" + "|".join(map(re.escape, _PHRASES)) + r")\b")
_LINK = re.compile(r"https?://")
_RUN = re.compile(r"(.)\1{9,}")
# Two links are a habit of people, more are one of advertisers.
_FREE_LINKS = 2
_LINK_WEIGHT = 0.25
_RUN_WEIGHT = 0.2
# Format characters (zero-width joiners and the like) hide words from lists.
_HIDDEN = "Cf"


def score(text: str) -> float:
    """Return 0 (harmless) to 1, however the words are spaced, cased or dressed up."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = "".join(each for each in plain if unicodedata.category(each) != _HIDDEN)
    plain = " ".join(plain.split())
    total = sum(_PHRASES[phrase] for phrase in set(_PATTERN.findall(plain)))
    total += _LINK_WEIGHT * max(len(_LINK.findall(plain)) - _FREE_LINKS, 0)
    total += _RUN_WEIGHT if _RUN.search(plain) else 0.0
    return min(total, 1.0)


def verdict(value: float) -> str:
    """Return what becomes of a text with this score: ``ok``, ``review`` or ``reject``."""
    if value >= REJECT_AT:
        return "reject"
    return "review" if value >= REVIEW_AT else "ok"
