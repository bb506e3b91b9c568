"""Feeds give each arrival its row, and say where a bad file is bad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from surgeproof.errors import FormatError, UsageError
from surgeproof.load.feeds import Feed
from surgeproof.load.journeys import CURRENT_ARRIVAL, Arrival


@contextmanager
def arrival(index: int, seed: int = 7) -> Iterator[None]:
    token = CURRENT_ARRIVAL.set(Arrival(index, 0.0, "steady", "read", seed))
    try:
        yield
    finally:
        CURRENT_ARRIVAL.reset(token)


def picks(pick: Callable[[], str], indices: range, seed: int = 7) -> list[str]:
    found = []
    for index in indices:
        with arrival(index, seed):
            found.append(pick())
    return found


ABC = Feed.of(["a", "b", "c"])


def test_rows_are_taken_in_turn_by_the_number_of_the_arrival() -> None:
    assert picks(ABC.in_turn, range(5)) == ["a", "b", "c", "a", "b"]


def test_two_shards_of_a_schedule_take_the_rows_that_one_generator_would() -> None:
    feed = Feed.of([str(number) for number in range(11)])
    whole = picks(feed.in_turn, range(20))
    shards = [picks(feed.in_turn, range(start, 20, 2)) for start in (0, 1)]
    assert [row for pair in zip(*shards, strict=True) for row in pair] == whole


def test_a_random_row_depends_on_the_seed_and_the_arrival_alone() -> None:
    feed = Feed.of([str(number) for number in range(1000)])
    drawn = picks(feed.random, range(50))
    assert drawn == picks(feed.random, range(50))
    assert drawn != picks(feed.random, range(50), seed=8)
    assert len(set(drawn)) > 40


def test_random_draws_anew_each_time_within_one_arrival() -> None:
    feed = Feed.of(range(100_000))
    with arrival(3):
        assert feed.random() != feed.random()


def test_each_unique_row_goes_to_one_arrival_which_keeps_it() -> None:
    with arrival(1):
        assert (ABC.unique(), ABC.unique()) == ("b", "b")
    assert picks(ABC.unique, range(3)) == ["a", "b", "c"]


def test_a_feed_that_is_used_up_says_how_many_rows_it_had() -> None:
    with arrival(3), pytest.raises(UsageError, match="the feed is used up: it has 3 rows"):
        ABC.unique()


@pytest.mark.parametrize("pick", [ABC.in_turn, ABC.random, ABC.unique])
def test_rows_are_picked_in_journeys_only(pick: Callable[[], str]) -> None:
    with pytest.raises(RuntimeError, match="outside of journeys use feed"):
        pick()


def test_outside_of_journeys_a_feed_is_a_sequence() -> None:
    assert (ABC[1], list(ABC), len(ABC), ABC[1:]) == ("b", ["a", "b", "c"], 3, ("b", "c"))


def test_a_csv_file_gives_rows_by_the_names_of_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes('\ufeffhandle, password\r\nanna,"a,1"\r\n\r\nböb,"two\nlines"\r\n'.encode())
    feed = Feed.csv(path)
    assert list(feed) == [
        {"handle": "anna", "password": "a,1"},
        {"handle": "böb", "password": "two\nlines"},
    ]


def test_json_lines_give_objects(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('{"id": 1, "tags": ["a"]}\n\n{"id": 2, "text": "\u2028"}\n', encoding="utf-8")
    assert [row["id"] for row in Feed.json_lines(path)] == [1, 2]


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        pytest.param(b"", ["has no rows"], id="an empty file"),
        pytest.param(b"a,b\n", ["has no rows"], id="a first line alone"),
        pytest.param(b"a,,c\n1,2,3\n", [":1: column 2 has no name"], id="a column without a name"),
        pytest.param(b"a,a\n1,2\n", [":1: column 'a' is there twice"], id="a column named twice"),
        pytest.param(
            b"a,b\n1\n1,2\n1,2,3\n",
            [":2: 1 cells; accepted: 2 (a, b)", ":4: 3 cells"],
            id="rows of another length, all told at once",
        ),
        pytest.param(b'a,b\n1,"2\n', [":2: "], id="a quote that never ends"),
        pytest.param(b"a\nfine\n\xff\xfe\n", [":3: not UTF-8"], id="another encoding"),
    ],
)
def test_a_bad_csv_file_is_told_with_its_lines(
    tmp_path: Path, content: bytes, messages: list[str]
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        Feed.csv(path)
    for message in messages:
        assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_lines_that_are_no_json_objects_are_told_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": 1}\n[1]\n{"id"\n', encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        Feed.json_lines(path)
    assert f"{path}:2: '[1]'; accepted: a JSON object" in str(caught.value)
    assert f"{path}:3: " in str(caught.value)


def test_a_file_bad_throughout_does_not_fill_the_screen(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("nonsense\n" * 1000, encoding="utf-8")
    with pytest.raises(FormatError, match="and 980 more"):
        Feed.json_lines(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"nowhere\.csv cannot be read: No such file"):
        Feed.csv(tmp_path / "nowhere.csv")
