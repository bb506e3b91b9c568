"""The time that a request has left, handed on from service to service."""

from __future__ import annotations

from dataclasses import dataclass

from target_app.clock import Clock

__all__ = ["DEADLINE_HEADER", "Deadline"]

DEADLINE_HEADER = "X-Deadline-Ms"


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the process's monotonic clock (seconds) after which the answer is worthless."""

    at_s: float

    @classmethod
    def after(cls, duration_s: float, clock: Clock) -> Deadline:
        """Return the deadline that lies ``duration_s`` seconds from now."""
        return cls(clock.monotonic() + duration_s)

    @classmethod
    def from_header(cls, value: str | None, clock: Clock, *, default_s: float) -> Deadline:
        """Read the header's remaining milliseconds; ``default_s`` where it is absent or no number.

        A caller can shorten the default, never lengthen it.
        """
        try:
            remaining_s = float(value) / 1000 if value is not None else default_s
        except ValueError:
            remaining_s = default_s
        return cls.after(min(max(remaining_s, 0.0), default_s), clock)

    def remaining_s(self, clock: Clock) -> float:
        """Return the seconds left, 0 once it has passed."""
        return max(self.at_s - clock.monotonic(), 0.0)

    def to_header(self, clock: Clock) -> str:
        """Return the whole milliseconds left, as the header's value."""
        return str(int(self.remaining_s(clock) * 1000))
