"""The first cache tier: what was forgotten never comes back by a slow reader."""

from __future__ import annotations

from target_app.graph.memory import Entry, Memory


def make() -> Memory[str]:
    return Memory(capacity=3, keep_s=60.0)


def test_a_value_is_found_until_it_is_forgotten() -> None:
    memory = make()
    assert memory.put("a", Entry("one", 10.0))
    memory.forget(["a"], 11.0)
    assert memory.get("a") is None


def test_a_value_read_before_the_change_is_not_taken_in() -> None:
    memory = make()
    memory.forget(["a"], 11.0)
    assert not memory.put("a", Entry("before", 10.9))
    assert not memory.put("a", Entry("at the same moment", 11.0))
    assert memory.put("a", Entry("after", 11.1))


def test_the_oldest_value_leaves_when_the_memory_is_full() -> None:
    memory = make()
    for number, key in enumerate("abca"):
        memory.put(key, Entry(key, float(number)))
    memory.put("d", Entry("d", 9.0))
    assert memory.get("b") is None
    assert memory.get("a") is not None


def test_what_was_forgotten_is_remembered_only_as_long_as_a_second_tier_can_hold_it() -> None:
    memory = make()
    memory.forget(["a"], 10.0)
    memory.forget(["b"], 71.0)
    assert memory.put("a", Entry("old but nobody has it any more", 9.0))
    assert not memory.put("b", Entry("old", 70.0))
