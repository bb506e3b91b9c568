"""The guard of an edge: bulkhead, timeout, retry budget and what counts as a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from target_app.edge import (
    BreakerState,
    Deadline,
    EdgeBusyError,
    EdgeClient,
    EdgeFailedError,
    EdgeMetrics,
    EdgeOpenError,
    EdgePolicy,
    EdgeShedError,
    EdgeTimeoutError,
    RetryBudget,
)
from target_app.edge.policy import BreakerPolicy, RetryPolicy

POLICY = EdgePolicy(
    name="test-edge",
    dependency="test",
    origin="here",
    target="there",
    upstream="there",
    timeout_s=5.0,
    max_in_flight=2,
    retry=RetryPolicy(max=1, budget_ratio=0.1),
    breaker=BreakerPolicy(min_calls=1000),
    fallback="none",
)


class HandClock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


def make_client(policy: EdgePolicy = POLICY) -> tuple[EdgeClient, CollectorRegistry, HandClock]:
    registry = CollectorRegistry()
    clock = HandClock()
    return EdgeClient(policy, clock, EdgeMetrics(registry)), registry, clock


def count(registry: CollectorRegistry, outcome: str) -> float:
    labels = {"edge": "test-edge", "outcome": outcome}
    return registry.get_sample_value("app_edge_requests_total", labels) or 0.0


def failing(times: int) -> tuple[Callable[[], Awaitable[str]], list[int]]:
    """Return an operation that fails so many times and then answers, and the list of its calls."""
    calls: list[int] = []

    async def operation() -> str:
        calls.append(len(calls))
        if len(calls) <= times:
            raise EdgeFailedError("test-edge", "broken pipe")
        return "answer"

    return operation, calls


def test_a_failed_idempotent_call_is_tried_once_more() -> None:
    client, registry, _ = make_client()
    operation, calls = failing(1)
    assert asyncio.run(client.call(operation, idempotent=True)) == "answer"
    assert len(calls) == 2
    assert count(registry, "ok") == 1
    labels = {"edge": "test-edge", "result": "ok"}
    assert registry.get_sample_value("app_retries_total", labels) == 1


def test_a_call_that_is_not_idempotent_is_never_sent_twice() -> None:
    client, registry, _ = make_client()
    operation, calls = failing(1)
    with pytest.raises(EdgeFailedError):
        asyncio.run(client.call(operation))
    assert len(calls) == 1
    assert count(registry, "error") == 1


def test_no_more_than_the_allowed_retries_are_sent() -> None:
    client, _, _ = make_client()
    operation, calls = failing(5)
    with pytest.raises(EdgeFailedError):
        asyncio.run(client.call(operation, idempotent=True))
    assert len(calls) == 2


def test_a_total_loss_is_amplified_by_the_budget_only() -> None:
    client, _, _ = make_client()
    operation, calls = failing(10_000)

    async def many() -> None:
        for _ in range(500):
            with pytest.raises(EdgeFailedError):
                await client.call(operation, idempotent=True)

    asyncio.run(many())
    # The reserve of ten retries, and one for every ten of the 500 calls.
    assert 500 + 50 <= len(calls) <= 500 + 10 + 50


@pytest.mark.parametrize("ratio", [0.1, 0.2, 0.5])
def test_the_budget_pays_out_its_reserve_and_then_its_ratio(ratio: float) -> None:
    budget = RetryBudget(ratio)
    assert [budget.try_spend() for _ in range(11)] == [True] * 10 + [False]
    spent = 0
    for _ in range(100):
        budget.note_call()
        spent += budget.try_spend()
    assert spent == round(100 * ratio)


def test_a_budget_of_nothing_allows_no_retry() -> None:
    budget = RetryBudget(0.0)
    budget.note_call()
    assert not budget.try_spend()


def test_the_bulkhead_refuses_what_exceeds_its_size_at_once() -> None:
    client, registry, _ = make_client()

    async def scenario() -> None:
        release = asyncio.Event()

        async def slow() -> str:
            await release.wait()
            return "late"

        running = [asyncio.create_task(client.call(slow)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(EdgeBusyError):
            await client.call(slow)
        release.set()
        assert await asyncio.gather(*running) == ["late", "late"]
        assert await client.call(slow) == "late"

    asyncio.run(scenario())
    assert count(registry, "rejected") == 1


def test_a_caller_that_goes_away_frees_its_place_in_the_bulkhead() -> None:
    client, _, _ = make_client(replace(POLICY, max_in_flight=1))

    async def scenario() -> str:
        task = asyncio.create_task(client.call(lambda: asyncio.sleep(3600, "never")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await client.call(lambda: asyncio.sleep(0, "next"))

    assert asyncio.run(scenario()) == "next"


def test_a_call_ends_at_the_edge_timeout_and_is_not_retried() -> None:
    client, registry, _ = make_client(replace(POLICY, timeout_s=0.002))
    calls: list[None] = []

    async def slow() -> None:
        calls.append(None)
        await asyncio.sleep(3600)

    with pytest.raises(EdgeTimeoutError, match="no answer within 2 ms"):
        asyncio.run(client.call(slow, idempotent=True))
    assert len(calls) == 1
    assert count(registry, "timeout") == 1


def test_a_shorter_deadline_wins_over_the_edge_timeout() -> None:
    client, _, clock = make_client()
    deadline = Deadline.after(0.003, clock)
    with pytest.raises(EdgeTimeoutError, match="no answer within 3 ms"):
        asyncio.run(client.call(lambda: asyncio.sleep(3600), deadline=deadline))


def test_a_call_with_no_time_left_is_not_sent() -> None:
    client, _, clock = make_client()
    operation, calls = failing(0)
    deadline = Deadline.after(0.1, clock)
    clock.now_s += 0.1
    with pytest.raises(EdgeTimeoutError):
        asyncio.run(client.call(operation, deadline=deadline))
    assert not calls


def test_an_open_breaker_short_circuits_without_a_call() -> None:
    policy = replace(POLICY, breaker=BreakerPolicy(min_calls=2))
    client, registry, _ = make_client(policy)
    operation, calls = failing(10)

    async def scenario() -> None:
        for _ in range(2):
            with pytest.raises(EdgeFailedError):
                await client.call(operation)
        with pytest.raises(EdgeOpenError):
            await client.call(operation)

    asyncio.run(scenario())
    assert len(calls) == 2
    assert count(registry, "short_circuit") == 1
    assert client.health().state == "lost"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(
            EdgeShedError("test-edge", "503", retry_after_s=1), id="an upstream that sheds"
        ),
        pytest.param(LookupError("no such row"), id="a proper answer in form of an exception"),
    ],
)
def test_what_proves_the_dependency_alive_does_not_open_the_breaker(error: Exception) -> None:
    client, _, _ = make_client(replace(POLICY, breaker=BreakerPolicy(min_calls=2)))

    async def operation() -> None:
        raise error

    async def scenario() -> None:
        for _ in range(10):
            with pytest.raises(type(error)):
                await client.call(operation, idempotent=True)

    asyncio.run(scenario())
    assert client.breaker.state is BreakerState.CLOSED
