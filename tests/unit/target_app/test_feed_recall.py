"""The memory of last good answers: age, expiry, bounds."""

from __future__ import annotations

from target_app.feed.recall import Recall, Recalled


def test_a_value_is_recalled_with_its_age() -> None:
    memory: Recall[str, int] = Recall(capacity=2, keep_s=60.0)
    memory.remember("a", 1, now=100.0)
    assert memory.recall("a", now=112.5) == Recalled(value=1, age_s=12.5)


def test_a_value_exactly_at_the_limit_is_still_good_and_then_gone() -> None:
    memory: Recall[str, int] = Recall(capacity=2, keep_s=60.0)
    memory.remember("a", 1, now=100.0)
    assert memory.recall("a", now=160.0) is not None
    assert memory.recall("a", now=160.1) is None
    assert len(memory) == 0


def test_a_value_set_again_is_young_again() -> None:
    memory: Recall[str, int] = Recall(capacity=2, keep_s=60.0)
    memory.remember("a", 1, now=100.0)
    memory.remember("a", 2, now=150.0)
    assert memory.recall("a", now=170.0) == Recalled(value=2, age_s=20.0)


def test_the_least_recently_set_value_leaves_when_full() -> None:
    memory: Recall[str, int] = Recall(capacity=2, keep_s=60.0)
    memory.remember("a", 1, now=100.0)
    memory.remember("b", 2, now=101.0)
    memory.remember("a", 3, now=102.0)
    memory.remember("c", 4, now=103.0)
    assert memory.recall("b", now=103.0) is None
    assert memory.recall("a", now=103.0) is not None
    assert len(memory) == 2


def test_a_forgotten_value_is_gone_and_forgetting_twice_is_no_error() -> None:
    memory: Recall[str, int] = Recall(capacity=2, keep_s=60.0)
    memory.remember("a", 1, now=100.0)
    memory.forget("a")
    memory.forget("a")
    assert memory.recall("a", now=100.0) is None
