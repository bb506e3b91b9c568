"""What became of an attempt: exactly one outcome, by the rules of the journal's contract."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container
from dataclasses import dataclass

from surgeproof.load.http.attempt import RawResponse
from surgeproof.model.words import Outcome

__all__ = ["Judgement", "degraded_mark", "find_header", "judge"]

# A `degraded` member whose value is not empty. Text within a JSON string cannot match, for its
# quotes are escaped; what matches is then read as JSON, so a nested member does not count.
_MAYBE_DEGRADED = re.compile(rb'"degraded"\s*:\s*(?!\[\s*\]|\{\s*\}|null|false|"")')


@dataclass(frozen=True, slots=True)
class Judgement:
    """``error_kind`` says why an outcome is shed, error or wrong; ``degraded`` what was marked."""

    outcome: Outcome
    error_kind: str
    degraded: str
    detail: str = ""


_FULL = Judgement(Outcome.FULL, "", "")


def judge(
    response: RawResponse,
    *,
    expected: Container[int] = (),
    check: Callable[[], str | None] | None = None,
) -> Judgement:
    """Classify a complete answer (an attempt without one is always an ``error``).

    ``expected`` holds statuses that the step declares to be fine besides 2xx and 3xx. ``check``
    returns None or what is wrong, and is only asked about an answer that would be good.
    """
    status = response.status
    if 200 <= status < 300 and check is None and _is_plain(response):
        return _FULL
    is_expected = status in expected
    if not is_expected and not 200 <= status < 400:
        if status in {429, 503} and find_header(response, b"retry-after") is not None:
            return Judgement(Outcome.SHED, f"status_{status}", "")
        return Judgement(Outcome.ERROR, f"status_{status}", "")
    degraded = degraded_mark(response) if 200 <= status < 300 else ""
    complaint = check() if check is not None else None
    if complaint is not None:
        return Judgement(Outcome.WRONG, "check", degraded, complaint)
    return Judgement(Outcome.DEGRADED if degraded else Outcome.FULL, "", degraded)


def _is_plain(response: RawResponse) -> bool:
    """Return whether nothing about an answer could say that it is degraded (most are so)."""
    return not response.marks and b'"degraded"' not in response.body


def find_header(response: RawResponse, name: bytes) -> str | None:
    """Return the first header of that (lower-case) name."""
    for known, value in response.headers:
        if known == name:
            return value.decode("latin-1")
    return None


def degraded_mark(response: RawResponse) -> str:
    """Return how an answer says that it is degraded: its header, else its body; else empty."""
    header = find_header(response, b"degraded")
    if header:
        return header
    if not _MAYBE_DEGRADED.search(response.body):
        return ""
    try:
        data = json.loads(response.body)
    except ValueError:
        return ""
    value = data.get("degraded") if isinstance(data, dict) else None
    if not value:
        return ""
    items = value if isinstance(value, list) else [value]
    return ", ".join(item if isinstance(item, str) else json.dumps(item) for item in items)
