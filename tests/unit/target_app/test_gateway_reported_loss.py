"""An upstream that reports the loss of its own dependency is alive: its breaker stays closed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from target_app.edge import (
    BreakerState,
    EdgeClient,
    EdgeFailedError,
    EdgeMetrics,
    EdgePolicy,
)
from target_app.edge.policy import BreakerPolicy, RetryPolicy

POLICY = EdgePolicy(
    name="gw-feed",
    dependency="feed",
    origin="gateway",
    target="feed",
    upstream="feed",
    timeout_s=5.0,
    max_in_flight=2,
    retry=RetryPolicy(max=1, budget_ratio=1.0),
    breaker=BreakerPolicy(min_calls=3),
    fallback="recency",
)


class FixedClock:
    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 0.0


@dataclass
class Upstream:
    status: int | None
    calls: int = 0

    async def answer(self) -> None:
        self.calls += 1
        raise EdgeFailedError("gw-feed", "failed", status=self.status)


def breaker_after_ten_calls(upstream: Upstream) -> BreakerState:
    client = EdgeClient(POLICY, FixedClock(), EdgeMetrics(CollectorRegistry()))

    async def run() -> None:
        for _ in range(10):
            if client.breaker.state is BreakerState.CLOSED:
                with pytest.raises(EdgeFailedError):
                    await client.call(upstream.answer, idempotent=True)

    asyncio.run(run())
    return client.breaker.state


@pytest.mark.parametrize("status", [502, 504])
def test_a_reported_loss_neither_opens_the_breaker_nor_is_tried_again(status: int) -> None:
    upstream = Upstream(status)
    assert breaker_after_ten_calls(upstream) is BreakerState.CLOSED
    assert upstream.calls == 10


@pytest.mark.parametrize(
    "status", [pytest.param(None, id="no answer"), pytest.param(500, id="a bug upstream")]
)
def test_a_failure_of_the_upstream_itself_opens_it(status: int | None) -> None:
    upstream = Upstream(status)
    assert breaker_after_ten_calls(upstream) is BreakerState.OPEN
