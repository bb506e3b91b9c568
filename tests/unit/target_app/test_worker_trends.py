"""Trending tags: extraction, buckets, decay and forgetting."""

from __future__ import annotations

import pytest

from target_app.worker.trends import (
    BUCKET_S,
    HALF_LIFE_S,
    MAX_TAGS_PER_POST,
    WINDOW_S,
    TagTrends,
    tags_in,
)

# A multiple of the bucket length, so that an event at NOW opens a bucket of age 0.
NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("hello #Launch day", ["launch"], id="one, in lower case"),
        pytest.param("#a #b #a", ["a", "b"], id="distinct, in order"),
        pytest.param("no tags here", [], id="none"),
        pytest.param("mail me at x#y", [], id="a hash within a word is no tag"),
        pytest.param("# alone, #", [], id="a bare hash is no tag"),
        pytest.param("(#quoted)!", ["quoted"], id="punctuation around it"),
        pytest.param("#été", ["été"], id="letters of any script"),
    ],
)
def test_tags_are_read_from_text(text: str, expected: list[str]) -> None:
    assert list(tags_in(text)) == expected


def test_a_post_full_of_tags_counts_only_the_first_few() -> None:
    text = " ".join(f"#tag{number}" for number in range(50))
    assert list(tags_in(text)) == [f"tag{number}" for number in range(MAX_TAGS_PER_POST)]


def test_a_use_loses_half_its_weight_per_half_life() -> None:
    trends = TagTrends()
    trends.add(["old"], at=NOW - HALF_LIFE_S, now=NOW)
    trends.add(["new"], at=NOW, now=NOW)
    newest, oldest = trends.top(10, now=NOW)
    assert (newest.tag, newest.uses) == ("new", 1)
    assert newest.score == pytest.approx(1.0)
    assert (oldest.tag, oldest.uses) == ("old", 1)
    assert oldest.score == pytest.approx(0.5)


def test_more_recent_uses_beat_as_many_older_ones() -> None:
    trends = TagTrends()
    for _ in range(5):
        trends.add(["morning"], at=NOW - 300, now=NOW)
    for _ in range(4):
        trends.add(["evening"], at=NOW - 10, now=NOW)
    assert [line.tag for line in trends.top(10, now=NOW)] == ["evening", "morning"]


def test_uses_leave_the_window_after_ten_minutes() -> None:
    trends = TagTrends()
    trends.add(["gone"], at=NOW, now=NOW)
    assert trends.top(10, now=NOW + WINDOW_S - BUCKET_S)
    assert list(trends.top(10, now=NOW + WINDOW_S + BUCKET_S)) == []


def test_a_late_event_is_counted_in_its_own_bucket() -> None:
    in_order, late = TagTrends(), TagTrends()
    for at in (NOW - 100, NOW - 50, NOW):
        in_order.add(["x"], at=at, now=NOW)
    for at in (NOW, NOW - 100, NOW - 50):
        late.add(["x"], at=at, now=NOW)
    assert late.top(1, now=NOW)[0].score == pytest.approx(in_order.top(1, now=NOW)[0].score)


def test_an_event_older_than_the_window_is_not_counted() -> None:
    trends = TagTrends()
    trends.add(["ancient"], at=NOW - WINDOW_S - 1, now=NOW)
    assert list(trends.top(10, now=NOW)) == []


def test_an_event_from_the_future_counts_as_now() -> None:
    trends = TagTrends()
    trends.add(["tomorrow"], at=NOW + 86_400, now=NOW)
    assert trends.top(1, now=NOW)[0].score == pytest.approx(1.0)


def test_the_list_is_cut_and_equal_scores_go_by_name() -> None:
    trends = TagTrends()
    trends.add(["c", "a", "b"], at=NOW, now=NOW)
    assert [line.tag for line in trends.top(2, now=NOW)] == ["a", "b"]
