"""Ids: unique, rising, exact in JSON, and telling their time and shard."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from target_app.ids import EPOCH_S, IdGenerator, created_at_s, make_id, shard_of


class HandClock:
    now_s = float(EPOCH_S + 1000)

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


@given(st.integers(0, 2**38 - 1), st.integers(0, 15), st.integers(0, 7), st.integers(0, 255))
def test_an_id_tells_its_parts_and_fits_a_double(
    milliseconds: int, shard: int, node: int, sequence: int
) -> None:
    made = make_id(milliseconds, shard=shard, node=node, sequence=sequence)
    assert made < 2**53
    assert shard_of(made) == shard
    assert created_at_s(made) == EPOCH_S + milliseconds / 1000


def test_ids_rise_within_a_millisecond_beyond_it_and_when_the_clock_goes_back() -> None:
    clock = HandClock()
    ids = IdGenerator(clock, node=1)
    made = [ids.next(shard=3) for _ in range(1000)]
    clock.now_s -= 60
    made += [ids.next(shard=3) for _ in range(10)]
    clock.now_s += 120
    made.append(ids.next(shard=3))
    assert all(earlier < later for earlier, later in itertools.pairwise(made))


def test_two_nodes_never_make_the_same_id() -> None:
    clock = HandClock()
    first, second = IdGenerator(clock, node=1), IdGenerator(clock, node=2)
    assert not {first.next() for _ in range(300)} & {second.next() for _ in range(300)}
