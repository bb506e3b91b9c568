"""The one place where a call over an edge gets its timeout, bulkhead, breaker and retry."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from target_app.clock import Clock
from target_app.edge.breaker import Breaker, BreakerState
from target_app.edge.budget import RetryBudget
from target_app.edge.calls import count_call
from target_app.edge.deadline import Deadline
from target_app.edge.errors import (
    EdgeBusyError,
    EdgeFailedError,
    EdgeOpenError,
    EdgeShedError,
    EdgeTimeoutError,
)
from target_app.edge.metrics import EdgeMeter, EdgeMetrics
from target_app.edge.policy import EdgePolicy
from target_app.edge.recent import RecentDurations

__all__ = ["EdgeClient", "EdgeHealth"]

T = TypeVar("T")

# Below this the answer could not be used any more: do not bother the dependency.
_SHORTEST_CALL_S = 0.001
# What the defects missing_timeout and retry_storm break.
_UNBOUNDED_EDGE = "gw-feed"
_STORM_RETRIES = 4


@dataclass(frozen=True, slots=True)
class EdgeHealth:
    """One edge as ``/healthz/deps`` shows it; ages and times in seconds, ``None`` if unknown."""

    state: str
    breaker: str
    last_ok_age_s: float | None
    p99_s: float | None
    in_flight: int


class EdgeClient:
    """Guards all calls over one edge. Belongs to one event loop.

    The timeout holds for the whole call: a retry has to fit into what the first try left, so a
    call never takes longer than the edge's timeout or the request's deadline. ``has_defect`` says
    which switchable defects are on.
    """

    def __init__(
        self,
        policy: EdgePolicy,
        clock: Clock,
        metrics: EdgeMetrics,
        has_defect: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.policy = policy
        self.clock = clock
        self.has_defect = has_defect
        self.meter: EdgeMeter = metrics.of(policy.name)
        self.breaker = Breaker(
            policy.breaker,
            clock,
            self._note_transition,
            is_stuck=lambda: has_defect("breaker_stuck_open"),
        )
        self.budget = RetryBudget(policy.retry.budget_ratio)
        self._in_flight = 0
        self._last_ok_s: float | None = None
        self._recent = RecentDurations()

    async def call(
        self,
        operation: Callable[[], Awaitable[T]],
        *,
        deadline: Deadline | None = None,
        idempotent: bool = False,
    ) -> T:
        """Await ``operation()`` under the edge's policy and return its result.

        The operation reports a failure of the dependency by :class:`EdgeFailedError` and a refusal
        by :class:`EdgeShedError`. Any other exception is the dependency's proper answer (a
        violated constraint, say): it counts as success and passes through. Only a failed
        ``idempotent`` call is tried again, never one that timed out or was shed.
        """
        count_call(self.policy.name)
        limit_s = self.policy.timeout_s
        if self.policy.name == _UNBOUNDED_EDGE and self.has_defect("missing_timeout"):
            limit_s = math.inf
        elif deadline is not None:
            limit_s = min(limit_s, deadline.remaining_s(self.clock))
        if limit_s < _SHORTEST_CALL_S:
            self.meter.requests["timeout"].inc()
            raise EdgeTimeoutError(self.policy.name, "the request's deadline had passed")
        if self._in_flight >= self.policy.max_in_flight:
            self.meter.requests["rejected"].inc()
            raise EdgeBusyError(self.policy.name, f"{self._in_flight} calls are in flight")
        if not self.breaker.try_enter() and not self.has_defect("retry_storm"):
            self.meter.requests["short_circuit"].inc()
            raise EdgeOpenError(self.policy.name, "the breaker is open")
        return await self._guarded(operation, limit_s, idempotent=idempotent)

    def note_dropped(self) -> None:
        """Count a call that was not made because the upstream would have refused it."""
        self.meter.requests["rejected"].inc()

    def health(self) -> EdgeHealth:
        """Return the edge's state as seen from this process."""
        state = self.breaker.state
        age_s = None if self._last_ok_s is None else self.clock.monotonic() - self._last_ok_s
        return EdgeHealth(
            state="ok" if state is BreakerState.CLOSED else "lost",
            breaker=state.name.lower(),
            last_ok_age_s=age_s,
            p99_s=self._recent.quantile(0.99),
            in_flight=self._in_flight,
        )

    async def _guarded(
        self, operation: Callable[[], Awaitable[T]], limit_s: float, *, idempotent: bool
    ) -> T:
        started_s = self.clock.monotonic()
        self._in_flight += 1
        self.meter.in_flight.set(self._in_flight)
        self.budget.note_call()
        outcome: str | None = None
        is_alive = False
        try:
            async with asyncio.timeout(limit_s if limit_s < math.inf else None):
                result = await self._with_retry(operation, idempotent=idempotent)
            outcome = "ok"
            return result
        except TimeoutError as error:
            outcome = "timeout"
            detail = f"no answer within {limit_s * 1000:.0f} ms"
            raise EdgeTimeoutError(self.policy.name, detail) from error
        except EdgeFailedError as error:
            outcome = "error"
            is_alive = error.is_of_dependency
            raise
        except EdgeShedError:
            outcome = "rejected"
            raise
        except asyncio.CancelledError:
            raise
        except Exception:
            outcome = "ok"
            raise
        finally:
            self._in_flight -= 1
            self._settle(outcome, self.clock.monotonic() - started_s, is_alive=is_alive)

    async def _with_retry(self, operation: Callable[[], Awaitable[T]], *, idempotent: bool) -> T:
        retries = self.policy.retry.max if idempotent else 0
        for attempt in itertools.count():
            try:
                result = await operation()
            except (EdgeFailedError, EdgeShedError) as error:
                if attempt > 0:
                    self.meter.retries["error"].inc()
                if idempotent and attempt < _STORM_RETRIES and self.has_defect("retry_storm"):
                    continue
                if isinstance(error, EdgeShedError):
                    raise
                if attempt >= retries or error.is_of_dependency:
                    raise
                if not self.budget.try_spend():
                    self.meter.retries["no_budget"].inc()
                    raise
                continue
            if attempt > 0:
                self.meter.retries["ok"].inc()
            return result
        raise AssertionError("the loop above ends by return or raise")

    def _settle(self, outcome: str | None, duration_s: float, *, is_alive: bool) -> None:
        self.meter.in_flight.set(self._in_flight)
        self.meter.retry_budget.set(self.budget.remaining_ratio)
        if outcome is None:
            self.breaker.forget()
            return
        self.meter.requests[outcome].inc()
        self.meter.duration.observe(duration_s)
        self._recent.add(duration_s)
        # A refusal proves that the upstream lives, and so does its word that a dependency of its
        # own is lost; opening on these would widen its bad moment, or hide what it reports.
        success = is_alive or outcome in ("ok", "rejected")
        if outcome == "ok":
            self._last_ok_s = self.clock.monotonic()
        self.breaker.record(success=success)

    def _note_transition(self, state: BreakerState) -> None:
        self.meter.note_transition(int(state), state.name.lower())
