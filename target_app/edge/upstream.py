"""What an upstream under overload has said it refuses, so that a caller need not ask for it."""

from __future__ import annotations

from collections.abc import Mapping

from target_app.clock import Clock

__all__ = ["BUCKETS", "CUT_HEADER", "UpstreamCut", "rank_of"]

# The lowest rank that the sender refuses at the moment; absent while it takes everything.
CUT_HEADER = "X-Admit-Level"
# Users are dealt out to this many buckets in each tier.
BUCKETS = 128

# An upstream moves its cut once a second; what it said before that may no longer hold.
_KEEP_S = 1.0


def rank_of(tier: int, bucket: int) -> int:
    """Return the rank of a request: the lower, the more important."""
    return tier * BUCKETS + bucket % BUCKETS


class UpstreamCut:
    """Remembers the cut of one upstream from its answers, for a second each time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cut: int | None = None
        self._until_s = 0.0

    def note(self, answer: Mapping[str, str]) -> None:
        """Take the cut out of an answer's headers."""
        value = answer.get(CUT_HEADER, "")
        self._cut = int(value) if value.isascii() and value.isdigit() else None
        self._until_s = self._clock.monotonic() + _KEEP_S

    def refuses(self, request: Mapping[str, str]) -> bool:
        """Return whether a request with these headers would be refused; never one of tier 0."""
        if self._cut is None or self._clock.monotonic() >= self._until_s:
            return False
        tier, bucket = request.get("X-Tier", "")[1:], request.get("X-User-Prio", "")
        if not (tier.isdigit() and bucket.isdigit()) or tier == "0":
            return False
        return rank_of(int(tier), int(bucket)) >= self._cut
