"""How many calls over each edge the request at hand has cost so far."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["count_call", "count_calls_in"]

# Tasks that a request starts inherit its context, and so the same dict.
_CALLS: ContextVar[dict[str, int]] = ContextVar("calls")


def count_calls_in(calls: dict[str, int]) -> None:
    """Count what the current request calls from now on in ``calls``, by edge."""
    _CALLS.set(calls)


def count_call(edge: str) -> None:
    """Count one call, its retries included; outside a request there is nothing to count for."""
    calls = _CALLS.get(None)
    if calls is not None:
        calls[edge] = calls.get(edge, 0) + 1
