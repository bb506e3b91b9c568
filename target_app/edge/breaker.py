"""A circuit breaker: stop calling what fails, and find out cheaply when it works again."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable

from target_app.clock import Clock
from target_app.edge.policy import BreakerPolicy

__all__ = ["Breaker", "BreakerState"]


class BreakerState(enum.IntEnum):
    """The values of the ``app_breaker_state`` gauge."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """Counts outcomes in a sliding window and opens when too many of them are failures.

    Closed: all calls pass. At ``min_calls`` outcomes in the window and a failure ratio of
    ``open_at_ratio`` or more it opens; so it does after ``min_calls`` failures in a row, because
    on a busy edge the successes of a good past would hide a total loss for seconds.
    Open: no call passes for ``cool_down_s``. Half-open: up to ``half_open_probes`` calls at a time
    pass; as many successes in a row close it, one failure opens it again. Not thread-safe: it
    belongs to one event loop.
    """

    # The window is kept as this many buckets, so its memory does not grow with traffic.
    _BUCKETS = 10

    def __init__(
        self,
        policy: BreakerPolicy,
        clock: Clock,
        on_transition: Callable[[BreakerState], None] | None = None,
        *,
        is_stuck: Callable[[], bool] = lambda: False,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._on_transition = on_transition
        # The defect breaker_stuck_open: what proves recovery is taken for one more failure.
        self._is_stuck = is_stuck
        self._state = BreakerState.CLOSED
        self._bucket_s = policy.window_s / self._BUCKETS
        # Entries are [bucket number, successes, failures], oldest first.
        self._window: deque[list[int]] = deque()
        self._failures_in_row = 0
        self._opened_at_s = 0.0
        self._probes_out = 0
        self._probes_succeeded = 0

    @property
    def state(self) -> BreakerState:
        """The state now: an open breaker whose cool-down has passed reads half-open."""
        if self._state is BreakerState.OPEN and self._has_cooled_down():
            return BreakerState.HALF_OPEN
        return self._state

    def try_enter(self) -> bool:
        """Return whether a call may be sent; each ``True`` is owed one ``record`` or ``forget``."""
        if self._state is BreakerState.CLOSED:
            return True
        if self._state is BreakerState.OPEN:
            if not self._has_cooled_down():
                return False
            self._move_to(BreakerState.HALF_OPEN)
        if self._probes_out >= self._policy.half_open_probes:
            return False
        self._probes_out += 1
        return True

    def record(self, *, success: bool) -> None:
        """Count the outcome of a call that was let in."""
        if self._state is BreakerState.HALF_OPEN:
            self._record_probe(success=success)
        elif self._state is BreakerState.CLOSED:
            self._record_in_window(success=success)
        # Open: an answer to a call sent before the opening says nothing new.

    def forget(self) -> None:
        """Give back the place of a call that ended without an outcome (its caller went away)."""
        if self._state is BreakerState.HALF_OPEN:
            self._probes_out = max(self._probes_out - 1, 0)

    def _has_cooled_down(self) -> bool:
        return self._clock.monotonic() - self._opened_at_s >= self._policy.cool_down_s

    def _record_probe(self, *, success: bool) -> None:
        self._probes_out = max(self._probes_out - 1, 0)
        if not success or self._is_stuck():
            self._open()
            return
        self._probes_succeeded += 1
        if self._probes_succeeded >= self._policy.half_open_probes:
            self._move_to(BreakerState.CLOSED)

    def _record_in_window(self, *, success: bool) -> None:
        number = int(self._clock.monotonic() / self._bucket_s)
        if not self._window or self._window[-1][0] != number:
            self._window.append([number, 0, 0])
            while self._window[0][0] <= number - self._BUCKETS:
                self._window.popleft()
        self._window[-1][1 if success else 2] += 1
        if success:
            self._failures_in_row = 0
            return
        self._failures_in_row += 1
        failures = sum(bucket[2] for bucket in self._window)
        calls = failures + sum(bucket[1] for bucket in self._window)
        is_too_many = failures >= self._policy.open_at_ratio * calls
        is_total = self._failures_in_row >= self._policy.min_calls
        if is_total or (calls >= self._policy.min_calls and is_too_many):
            self._open()

    def _open(self) -> None:
        self._opened_at_s = self._clock.monotonic()
        self._move_to(BreakerState.OPEN)

    def _move_to(self, state: BreakerState) -> None:
        self._state = state
        self._probes_out = 0
        self._probes_succeeded = 0
        self._failures_in_row = 0
        self._window.clear()
        if self._on_transition is not None:
            self._on_transition(state)
