from __future__ import annotations

import asyncio
import json
from pathlib import Path

from surgeproof.load.read_back import Key, find_keys, read_all

A, B, C = ("post", "a"), ("post", "b"), ("post", "c")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, duration_s: float) -> None:
        self.now += duration_s


def read(answers: dict[Key, list[int | Exception]]) -> dict[Key, tuple[int | None, int | None]]:
    """Read keys whose successive reads give these answers, the last one for ever."""

    async def reader(kind: str, key: str) -> int:
        left = answers[kind, key]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    clock = Clock()
    return asyncio.run(
        read_all(reader, list(answers), monotonic=clock.monotonic, sleep=clock.sleep)
    )


def test_a_key_found_at_once_is_read_once() -> None:
    assert read({A: [1, 99]}) == {A: (1, 1)}


def test_a_key_found_late_shows_both_reads() -> None:
    assert read({A: [0, 0, 1]}) == {A: (0, 1)}


def test_a_key_never_found_is_found_zero_times() -> None:
    assert read({A: [0]}) == {A: (0, 0)}


def test_a_key_found_twice_keeps_its_count() -> None:
    assert read({A: [2]}) == {A: (2, 2)}


def test_a_key_that_cannot_be_read_stays_unread_and_hides_no_other() -> None:
    assert read({A: [RuntimeError("down")], B: [1]}) == {A: (None, None), B: (1, 1)}


def test_a_read_that_fails_later_does_not_undo_an_earlier_one() -> None:
    assert read({A: [0, RuntimeError("down")]}) == {A: (0, 0)}


def test_a_read_that_fails_first_and_works_later_counts() -> None:
    assert read({A: [RuntimeError("down"), 1]}) == {A: (None, 1)}


def test_only_writes_that_may_have_happened_are_read_back_once_each(tmp_path: Path) -> None:
    rows = [("a", "ok"), ("b", "info"), ("c", "fail"), ("a", "info")]
    lines = [
        json.dumps({"t_s": 1.0, "kind": "post", "key": key, "outcome": outcome})
        for key, outcome in rows
    ]
    (tmp_path / "ledger-0.jsonl").write_text("\n".join([*lines, '{"t_s": 1.0, "ki']))
    assert find_keys(tmp_path) == [A, B]
