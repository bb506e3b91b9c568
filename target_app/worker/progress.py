"""How far timelines are behind what has been posted."""

from __future__ import annotations

__all__ = ["Progress"]

# The outbox is looked at twice a second; one look missed is no news.
_PATIENCE_S = 1.5


class Progress:
    """Estimates the lag from what is known; not knowing counts as being behind.

    Times are seconds since the epoch, passed in by the caller.
    """

    def __init__(self) -> None:
        self._outbox_age_s = 0.0
        self._looked_at: float | None = None

    def note_outbox(self, oldest_age_s: float, *, now: float) -> None:
        """Note the age of the oldest event that the stream does not have, 0 if there is none."""
        self._outbox_age_s = oldest_age_s
        self._looked_at = now

    def lag_s(self, *, now: float, in_hand_since: float | None) -> float:
        """Return the age of the oldest event that may not have reached its timelines.

        ``in_hand_since`` is when the event now being worked off was written, None if none is.
        """
        lag_s = 0.0 if in_hand_since is None else max(0.0, now - in_hand_since)
        return max(lag_s, self.waiting_s(now=now))

    def waiting_s(self, *, now: float) -> float:
        """Return the age of the oldest event that may not have reached the stream."""
        if self._looked_at is None:
            return 0.0
        blind_s = now - self._looked_at
        return self._outbox_age_s + (blind_s if blind_s > _PATIENCE_S else 0.0)
