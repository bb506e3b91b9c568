"""A budget that keeps retries from multiplying the load of a dependency in trouble."""

from __future__ import annotations

__all__ = ["RetryBudget"]


class RetryBudget:
    """A bucket of retries: each first try pays in ``ratio``, each retry takes out 1.

    Over many calls at most ``ratio`` of them are retried. The bucket starts full, with ``reserve``
    retries, so that a handful of connections that broke at once are repaired without an error.
    """

    def __init__(self, ratio: float, reserve: int = 10) -> None:
        self._ratio = ratio
        self._reserve = float(reserve)
        self._level = self._reserve if ratio > 0 else 0.0

    @property
    def remaining_ratio(self) -> float:
        """How full the bucket is, 0 to 1."""
        return self._level / self._reserve if self._reserve else 0.0

    def note_call(self) -> None:
        """Count one first try."""
        self._level = min(self._level + self._ratio, self._reserve)

    def try_spend(self) -> bool:
        """Take one retry out and return whether there was one."""
        # Sums of 0.1 miss 1.0 by a rounding error, which must not cost a retry.
        if self._level < 1.0 - 1e-9:
            return False
        self._level = max(self._level - 1.0, 0.0)
        return True
