"""Leases and single flights: of many who miss one key, one asks the database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, Counter

from target_app.edge import Deadline, EdgeFailedError
from target_app.graph.leases import Leases
from target_app.graph.model import Post, Ties
from target_app.graph.visibility import Visibility


class Redis:
    """The part of Redis that leases use, for several processes at once."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.is_lost = False

    async def run(
        self, commands: Callable[[Any], Awaitable[list[object]]], **_: object
    ) -> list[object]:
        if self.is_lost:
            raise EdgeFailedError("graph-cache", "refused")
        return await commands(self)

    def pipeline(self, *, transaction: bool) -> Pipeline:
        assert not transaction
        return Pipeline(self)


class Pipeline:
    def __init__(self, redis: Redis) -> None:
        self.redis, self.answers = redis, list[object]()

    def set(self, key: str, _value: bytes, *, nx: bool, px: int) -> None:
        assert nx
        assert px > 0
        self.answers.append(None if key in self.redis.keys else True)
        self.redis.keys.add(key)

    async def execute(self) -> list[object]:
        return self.answers


def leases(redis: Redis, errors: list[str], *, is_on: bool = True) -> Leases:
    return Leases(
        cast("Any", redis),
        lambda: is_on,
        lambda feature, _: errors.append(feature),
        Counter("granted", "g", registry=CollectorRegistry()),
    )


def test_the_second_process_gets_no_lease_for_the_same_key() -> None:
    redis, errors = Redis(), list[str]()
    one, other = leases(redis, errors), leases(redis, errors)
    deadline = Deadline(1e9)
    assert asyncio.run(one.take(["a", "b"], deadline)) == {"a", "b"}
    assert asyncio.run(other.take(["b", "c"], deadline)) == {"c"}
    assert one._granted._value.get() == 2


def test_without_redis_or_with_the_flag_off_everybody_reads() -> None:
    redis, errors = Redis(), list[str]()
    redis.is_lost = True
    deadline = Deadline(1e9)
    assert asyncio.run(leases(redis, errors).take(["a"], deadline)) == {"a"}
    assert errors == ["cache"]
    redis.is_lost = False
    for _ in range(2):
        assert asyncio.run(leases(redis, errors, is_on=False).take(["a"], deadline)) == {"a"}


TIES = Ties(
    blocked=frozenset({2}), blocked_by=frozenset({3}), muted=frozenset({4}), follows=frozenset({6})
)


def post(author_id: int, *, state: str = "visible", is_private: bool = False) -> Post:
    return Post(1, author_id, "h", "t", 0.0, None, 0, 0, state=state, author_is_private=is_private)


@pytest.mark.parametrize(
    ("shown", "seen", "seen_in_feeds"),
    [
        pytest.param(post(5), True, True, id="anybody"),
        pytest.param(post(2), False, False, id="blocked"),
        pytest.param(post(3), False, False, id="blocked by"),
        pytest.param(post(4), True, False, id="muted"),
        pytest.param(post(5, is_private=True), False, False, id="private"),
        pytest.param(post(6, is_private=True), True, True, id="private and followed"),
        pytest.param(post(5, state="pending_review"), False, False, id="waits for review"),
        pytest.param(post(1, state="pending_review", is_private=True), True, True, id="own"),
    ],
)
def test_one_rule_says_what_a_viewer_sees(shown: Post, seen: bool, seen_in_feeds: bool) -> None:
    assert bool(Visibility(1, TIES).filter([shown])) is seen
    assert bool(Visibility(1, TIES, hides_muted=True).filter([shown])) is seen_in_feeds


def test_where_the_ties_are_unknown_only_the_viewer_s_own_is_seen() -> None:
    unknown = Visibility(1, None)
    assert not unknown.is_known
    assert unknown.filter([post(5), post(1)]) == [post(1)]
    # With a defect that opens what should be closed.
    assert Visibility(1, None, is_open=True).filter([post(2)]) == [post(2)]
