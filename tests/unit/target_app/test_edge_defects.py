"""The switchable defects of the edge layer: absent by default, and really broken when on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest
from prometheus_client import CollectorRegistry

from target_app.edge import (
    BreakerState,
    Deadline,
    EdgeClient,
    EdgeError,
    EdgeFailedError,
    EdgeMetrics,
    EdgePolicy,
    EdgeShedError,
    EdgeTimeoutError,
    PostgresEdge,
    PostgresTarget,
)
from target_app.edge.policy import BreakerPolicy, RetryPolicy

POLICY = EdgePolicy(
    name="gw-feed",
    dependency="feed",
    origin="gateway",
    target="feed",
    upstream="feed",
    timeout_s=0.002,
    max_in_flight=64,
    retry=RetryPolicy(max=1, budget_ratio=0.1),
    breaker=BreakerPolicy(min_calls=4, cool_down_s=1.0),
    fallback="none",
)


class HandClock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


def make_client(
    defect: str | None, clock: HandClock | None = None, policy: EdgePolicy = POLICY
) -> EdgeClient:
    metrics = EdgeMetrics(CollectorRegistry())
    return EdgeClient(policy, clock or HandClock(), metrics, lambda name: name == defect)


async def is_cut_off(client: EdgeClient, clock: HandClock) -> bool:
    """Tell whether a call that takes five times the edge's timeout is ended before it answers."""
    try:
        await client.call(lambda: asyncio.sleep(0.01, "late"), deadline=Deadline.after(1, clock))
    except EdgeTimeoutError:
        return True
    return False


def test_with_missing_timeout_a_call_over_gw_feed_lasts_as_long_as_it_likes() -> None:
    clock = HandClock()
    assert asyncio.run(is_cut_off(make_client(None, clock), clock))
    assert not asyncio.run(is_cut_off(make_client("missing_timeout", clock), clock))


def test_missing_timeout_leaves_every_other_edge_its_timeout() -> None:
    clock = HandClock()
    client = make_client("missing_timeout", clock, replace(POLICY, name="gw-graph"))
    assert asyncio.run(is_cut_off(client, clock))


async def tries_of_a_loss(
    layers: int, make: Callable[[], EdgeClient], calls: int, error: type[EdgeError]
) -> float:
    """Return how many tries reach the bottom of so many layers for each call at the top."""
    tries = 0

    async def bottom() -> None:
        nonlocal tries
        tries += 1
        if error is EdgeShedError:
            raise EdgeShedError("gw-feed", "503", retry_after_s=1)
        raise EdgeFailedError("gw-feed", "refused")

    top: Callable[[], Awaitable[None]] = bottom
    for _ in range(layers):
        top = partial(make().call, top, idempotent=True)
    for _ in range(calls):
        with pytest.raises(EdgeError):
            await top()
    return tries / calls


@pytest.mark.parametrize("error", [EdgeFailedError, EdgeShedError])
def test_with_retry_storm_three_layers_multiply_a_loss(error: type[EdgeError]) -> None:
    healthy = asyncio.run(tries_of_a_loss(3, lambda: make_client(None), 100, error))
    stormy = asyncio.run(tries_of_a_loss(3, lambda: make_client("retry_storm"), 5, error))
    assert healthy <= 1.2
    assert stormy == 5**3


async def state_after_recovery(client: EdgeClient, clock: HandClock) -> BreakerState:
    """Lose the dependency, let it recover, and call it for a minute."""

    async def lost() -> None:
        raise EdgeFailedError("gw-feed", "refused")

    for _ in range(4):
        with pytest.raises(EdgeFailedError):
            await client.call(lost)
    assert client.breaker.state is BreakerState.OPEN
    for _ in range(60):
        clock.now_s += 1
        try:
            await client.call(lambda: asyncio.sleep(0, "answer"))
        except EdgeError:
            continue
    return client.breaker.state


def test_with_breaker_stuck_open_recovery_is_never_noticed() -> None:
    clock = HandClock()
    healthy = make_client(None, clock)
    assert asyncio.run(state_after_recovery(healthy, clock)) is BreakerState.CLOSED
    stuck = make_client("breaker_stuck_open", clock)
    assert asyncio.run(state_after_recovery(stuck, clock)) is BreakerState.OPEN


class FakeLink:
    """A connection whose queries take ten milliseconds."""

    is_closed = False

    async def fetch(self, query: str) -> list[object]:
        await asyncio.sleep(0.01)
        return []


class CountingPool:
    """A pool without limit that counts what is out."""

    def __init__(self) -> None:
        self.out = 0

    async def acquire(self) -> FakeLink:
        self.out += 1
        return FakeLink()

    def release(self, _: FakeLink) -> None:
        self.out -= 1


@pytest.mark.parametrize(("defect", "left"), [(None, 0), ("connection_leak", 3)])
def test_with_connection_leak_a_caller_that_leaves_takes_a_connection_with_it(
    defect: str | None, left: int
) -> None:
    async def scenario() -> int:
        target = PostgresTarget("127.0.0.1", 1, "d", "u", "a")
        edge = PostgresEdge(make_client(defect), target, size=1)
        pool = CountingPool()
        edge._pool = pool  # type: ignore[assignment]
        for _ in range(3):
            with pytest.raises(EdgeTimeoutError):
                await edge.fetch("SELECT 1")
        await asyncio.sleep(0.05)
        return pool.out

    assert asyncio.run(scenario()) == left
