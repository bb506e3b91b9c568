"""Did you mean: the known word nearest to one that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["unknown_word"]

# As many words as fit a line of a terminal; a longer list is not read.
_LISTED = 12


def unknown_word(what: str, word: str, known: Iterable[str]) -> str:
    """Return the complaint that ``word`` is no ``what``, with the nearest known word, if any."""
    words = [str(candidate) for candidate in known]
    folded = {candidate.casefold(): candidate for candidate in words}
    near = get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    complaint = f"unknown {what} {word!r}"
    if near:
        complaint += f"; did you mean {folded[near[0]]!r}?"
    if not words:
        return f"{complaint}; there are none"
    shown = ", ".join(words[:_LISTED])
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return f"{complaint}{'' if near else ';'} accepted: {shown}{more}"
