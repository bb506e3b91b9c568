"""Merging of sources and the cursor: no repeats, no gaps, and no foreign cursors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_app.feed.cursor import MAX_REST, Cursor, CursorError, decode, encode
from target_app.feed.merge import merge

post_ids = st.integers(min_value=1, max_value=2**53 - 1)


def test_pushed_and_pulled_posts_become_one_list_newest_first() -> None:
    assert merge([[3, 1], [2]], before=None, limit=10) == [3, 2, 1]


def test_a_post_in_two_sources_is_shown_once() -> None:
    assert merge([[1], [1]], before=None, limit=10) == [1]


def test_the_post_at_the_border_of_a_page_is_not_shown_again() -> None:
    assert merge([[3, 2, 1]], before=2, limit=10) == [1]


@given(
    st.lists(st.lists(post_ids, max_size=30), max_size=4), st.integers(min_value=1, max_value=10)
)
def test_pages_join_to_the_whole_without_repeats_or_gaps(
    sources: list[list[int]], limit: int
) -> None:
    shown: list[int] = []
    before: int | None = None
    while page := merge(sources, before=before, limit=limit):
        shown.extend(page)
        before = page[-1]
    expected = sorted({each for source in sources for each in source}, reverse=True)
    assert shown == expected


carried = st.lists(post_ids, max_size=MAX_REST).map(tuple)


@given(st.none() | post_ids, carried, carried)
def test_a_cursor_survives_its_text_form(
    position: int | None, rest: tuple[int, ...], suggested: tuple[int, ...]
) -> None:
    cursor = Cursor(position, rest, suggested)
    text = encode(cursor)
    assert decode(text) == cursor
    assert text.isascii()
    assert not set(text) & set("+/=&? ")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("!!!", id="no base64"),
        pytest.param("AAAA", id="base64 of something else"),
        pytest.param("ÿ", id="not ascii"),
        pytest.param(encode(Cursor(1, tuple(range(1, MAX_REST + 2)))), id="too long"),
        pytest.param(encode(Cursor(2**50))[:-3], id="cut short"),
        pytest.param(encode(Cursor(2**53)), id="no id"),
        pytest.param(encode(Cursor(1, (-1,))), id="below zero"),
        pytest.param(encode(Cursor(1, (), tuple(range(1, MAX_REST + 2)))), id="too many popular"),
    ],
)
def test_a_foreign_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorError, match="not a cursor"):
        decode(text)
