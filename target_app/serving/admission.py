"""Admission control: under overload, refuse the least important requests early and cheaply.

After DAGOR (Zhou et al., "Overload Control for Scaling WeChat Microservices", SoCC 2018): the
signal is the time that requests wait before they are worked on, not CPU or latency, and the cut
runs over (business tier, user bucket), so that the same users are refused all along a request's
way. Each request has a rank ``tier * 128 + bucket`` (0 is the most important); ranks at or above
the cut are refused. Tier 0 always lies below the cut; only the hard limit on requests in flight
can refuse it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from target_app.clock import Clock
from target_app.edge.upstream import BUCKETS, rank_of

__all__ = ["BUCKETS", "TIERS", "Admission", "AdmissionPolicy"]

TIERS = 4
_RANKS = TIERS * BUCKETS


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """When to cut and how fast; the defaults of the times and steps are DAGOR's.

    ``raise_ratio`` is the part of the admitted load that an overloaded window sheds more (times
    the factor by which the delay exceeds ``overloaded_s``, at most ``max_raise_ratio``).
    ``lower_ratio`` is the part of all ranks that a calm window lets in again; it doubles with each
    calm window in a row, so that a closed door is open again after seven windows.
    """

    overloaded_s: float = 0.020
    calm_s: float = 0.010
    window_s: float = 1.0
    window_requests: int = 500
    min_requests: int = 20
    raise_ratio: float = 0.05
    max_raise_ratio: float = 0.5
    lower_ratio: float = 0.01
    max_in_flight: int = 256


class Admission:
    """Decides on each request, and moves the cut at the end of each window."""

    # Lower tiers may fill this part of the in-flight limit, so that tier 0 always finds room.
    _LOWER_TIERS_SHARE = 0.8

    def __init__(
        self,
        policy: AdmissionPolicy,
        clock: Clock,
        *,
        is_enabled: Callable[[], bool] = lambda: True,
        has_defect: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._is_enabled = is_enabled
        self._has_defect = has_defect
        self._cut = _RANKS
        self._in_flight = 0
        self._calm_windows = 0
        self._start_window()

    @property
    def level(self) -> float:
        """How much of what may be shed is shed: 0 nothing, 1 all of tiers 1 to 3."""
        return (_RANKS - self._cut) / (_RANKS - BUCKETS)

    @property
    def cut(self) -> int | None:
        """The lowest rank that is refused, None while nothing is."""
        return self._cut if self._cut < _RANKS and self._is_enabled() else None

    @property
    def in_flight(self) -> int:
        """The number of requests admitted and not yet left."""
        return self._in_flight

    def try_enter(self, tier: int, bucket: int) -> str | None:
        """Admit a request, or return why not (``overload`` or ``in_flight``).

        Each admitted request must :meth:`leave`.
        """
        if self._has_defect("unbounded_queue"):
            self._in_flight += 1
            return None
        tier = min(max(tier, 0), TIERS - 1)
        rank = rank_of(tier, bucket)
        if self._has_defect("priority_inversion"):
            tier, rank = 1, bucket % BUCKETS * TIERS
        self._arrivals[rank] += 1
        self._arrived += 1
        if rank >= self._cut and self._is_enabled():
            return "overload"
        limit = self._policy.max_in_flight
        if self._in_flight >= (limit if tier == 0 else limit * self._LOWER_TIERS_SHARE):
            return "in_flight"
        self._in_flight += 1
        return None

    def leave(self) -> None:
        """Note that an admitted request has been answered."""
        self._in_flight -= 1

    def note_queue_delay(self, delay_s: float) -> None:
        """Note how long one request waited before it was worked on."""
        self._queue_delay_s += delay_s
        self._queue_delays += 1

    def note_loop_lag(self, lag_s: float) -> None:
        """Note one probe of the event loop's lag; called all the time, it also ends windows."""
        self._loop_lag_s += lag_s
        self._loop_lags += 1
        age_s = self._clock.monotonic() - self._started_s
        if age_s >= self._policy.window_s or self._arrived >= self._policy.window_requests:
            self._end_window()

    def _end_window(self) -> None:
        delay_s = max(
            self._queue_delay_s / max(self._queue_delays, 1),
            self._loop_lag_s / max(self._loop_lags, 1),
        )
        if delay_s > self._policy.overloaded_s and self._arrived >= self._policy.min_requests:
            self._calm_windows = 0
            self._raise(delay_s)
        elif delay_s < self._policy.calm_s or self._arrived < self._policy.min_requests:
            self._lower()
        else:
            self._calm_windows = 0
        self._start_window()

    def _raise(self, delay_s: float) -> None:
        severity = delay_s / self._policy.overloaded_s
        ratio = min(self._policy.raise_ratio * severity, self._policy.max_raise_ratio)
        admitted = sum(self._arrivals[: self._cut])
        target = admitted * (1 - ratio)
        while self._cut > BUCKETS and admitted > target:
            self._cut -= 1
            admitted -= self._arrivals[self._cut]

    def _lower(self) -> None:
        step = self._policy.lower_ratio * 2**self._calm_windows * _RANKS
        # Eight doublings exceed all ranks; more would only overflow the exponent.
        self._calm_windows = min(self._calm_windows + 1, 8)
        self._cut = min(self._cut + max(round(step), 1), _RANKS)

    def _start_window(self) -> None:
        self._started_s = self._clock.monotonic()
        self._arrivals = [0] * _RANKS
        self._arrived = 0
        self._queue_delay_s = 0.0
        self._queue_delays = 0
        self._loop_lag_s = 0.0
        self._loop_lags = 0
