from __future__ import annotations

import random
from collections import Counter

import pytest

from surgeproof.errors import UsageError
from surgeproof.load.journeys import Arrival, journey, journeys_of
from surgeproof.load.popularity import Zipf


class Base:
    @journey("GET /a")
    async def read(self) -> None: ...


def test_journeys_are_found_by_name_also_those_of_a_base_class() -> None:
    class Scenario(Base):
        @journey("POST /b", weight=3)
        async def write(self) -> None: ...

    found = journeys_of(Scenario)
    assert {name: each.weight for name, each in found.items()} == {"GET /a": 1.0, "POST /b": 3.0}


def test_two_journeys_of_one_name_are_refused() -> None:
    class Scenario(Base):
        @journey("GET /a")
        async def again(self) -> None: ...

    with pytest.raises(UsageError, match="two journeys named 'GET /a'"):
        journeys_of(Scenario)


def test_a_class_without_journeys_is_refused() -> None:
    with pytest.raises(UsageError, match="no method marked with @journey"):
        journeys_of(object)


def test_an_arrival_draws_the_same_numbers_whatever_ran_before_it() -> None:
    def draw(index: int, seed: int) -> float:
        return Arrival(index, 0.0, "p", "j", seed).random.random()

    assert draw(5, 1) == draw(5, 1)
    assert len({draw(5, 1), draw(6, 1), draw(5, 2)}) == 3


def test_popularity_follows_zipfs_law() -> None:
    zipf, source = Zipf(1000, 1.1), random.Random(1)
    counts = Counter(zipf.rank(source) for _ in range(100_000))
    total = sum(1 / rank**1.1 for rank in range(1, 1001))
    for rank in (0, 1, 9):
        share = 1 / (rank + 1) ** 1.1 / total
        # Five standard errors of a share of 100,000 draws.
        error = 5 * (share * (1 - share) / 100_000) ** 0.5
        assert abs(counts[rank] / 100_000 - share) < error
    assert max(counts) <= 999


def test_one_thing_is_always_the_one_wanted() -> None:
    assert Zipf(1, 1.1).rank(random.Random(1)) == 0


def test_nothing_cannot_be_popular() -> None:
    with pytest.raises(ValueError, match="one thing at least"):
        Zipf(0, 1.1)
