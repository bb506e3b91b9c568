"""One page of a feed: pushed, pulled, first read, later pages, and what is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest

from target_app.edge import Deadline, EdgeError, EdgeFailedError
from target_app.feed.celebrities import FRESH_S, CelebrityPosts
from target_app.feed.cursor import Cursor
from target_app.feed.graph import Call, Post, Posts
from target_app.feed.keys import LAG_LIMIT_S, FanoutStatus, Ties
from target_app.feed.reader import EVERYBODY, TIES_FRESH_S, FeedReader
from target_app.feed.timelines import Snapshot
from target_app.feed.window import Page, Question

NOW = 1_700_000_000.0
VIEWER = 7
TOKEN = 77
# What the graph of this stage answers at a time.
RECENT = 3
CALL = Call(Deadline(0.0), {})


def post(post_id: int, *, likes: int = 0, author_id: int = 1) -> Post:
    return Post(
        id=post_id,
        author_id=author_id,
        handle="somebody",
        text="hi",
        created_at=NOW - 1000 + post_id,
        reply_to=None,
        likes=likes,
        replies=0,
    )


@dataclass
class Stage:
    """All that the reader draws on, in one place: what is there, and what is lost."""

    pushed: list[int] = field(default_factory=list)
    is_built: bool = True
    celebrities: dict[int, list[int]] = field(default_factory=dict)
    followed: list[int] = field(default_factory=list)
    older: list[int] = field(default_factory=list)
    popular: list[int] = field(default_factory=list)
    friends: list[int] = field(default_factory=list)
    is_whole: bool = True
    ties_age_s: float = 0.0
    affinity: dict[int, int] = field(default_factory=dict)
    authors: dict[int, int] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    likes: dict[int, int] = field(default_factory=dict)
    lag: FanoutStatus | None = field(default_factory=lambda: FanoutStatus(at=NOW, lag_s=0.0))
    lost: set[str] = field(default_factory=set)
    graph_says: tuple[str, ...] = ()
    allowed: bool = True
    asked: list[str] = field(default_factory=list)
    built: list[tuple[int, list[int], Ties]] = field(default_factory=list)
    renewed: list[Ties] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    @property
    def clock(self) -> Stage:
        return self

    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return NOW

    def fallback_allowed(self, edge: str) -> bool:
        return self.allowed

    def note_error(self, feature: str, error: Exception) -> None:
        self.errors.append(error)

    def mark(self, mode: str, cause: str, age_s: float | None = None) -> None:
        self.marks.append(f"{mode} {cause}")

    def relay(self, items: Sequence[str]) -> None:
        self.marks.extend(items)

    def _use(self, edge: str, what: str) -> None:
        self.asked.append(what)
        if edge in self.lost:
            raise EdgeFailedError(edge, "refused")


class Timelines:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def read(
        self, viewer_id: int, *, before: int | None, count: int, deadline: Deadline
    ) -> Snapshot:
        self._stage._use("feed-timeline", "read")
        newest = sorted(self._stage.pushed, reverse=True)
        wanted = [each for each in newest if before is None or each < before][:count]
        stage = self._stage
        at = NOW - stage.ties_age_s
        ties = Ties(at, list(stage.celebrities), stage.friends, stage.is_whole)
        return Snapshot(
            wanted,
            ties if stage.is_built else None,
            is_whole=stage.is_built and stage.is_whole,
            likes=stage.affinity,
            announced={5: 1},
            fanout=stage.lag,
        )

    async def begin_building(self, viewer_id: int, *, deadline: Deadline) -> int:
        self._stage._use("feed-timeline", "begin")
        return TOKEN

    async def finish_building(
        self, viewer_id: int, token: int, post_ids: Iterable[int], ties: Ties, *, deadline: Deadline
    ) -> None:
        self._stage._use("finish", "finish")
        self._stage.built.append((token, list(post_ids), ties))

    async def renew_ties(self, viewer_id: int, ties: Ties, *, deadline: Deadline) -> None:
        self._stage._use("feed-timeline", "renew")
        self._stage.renewed.append(ties)


class Graph:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def _shown(self, post_ids: Iterable[int]) -> Posts:
        stage = self._stage
        seen = [
            post(each, likes=stage.likes.get(each, 0), author_id=stage.authors.get(each, 1))
            for each in post_ids
        ]
        return Posts([each for each in seen if each.id not in stage.hidden], stage.graph_says)

    async def posts(self, post_ids: Sequence[int], viewer_id: int, call: Call) -> Posts:
        self._stage._use("feed-graph", "posts")
        return self._shown(post_ids)

    async def recent(self, viewer_id: int, call: Call, *, before: int | None = None) -> Posts:
        stage = self._stage
        stage._use("feed-graph", "recent")
        there = sorted({*stage.followed, *stage.older}, reverse=True)
        wanted = [each for each in there if before is None or each < before]
        return replace(self._shown(wanted[:RECENT]), has_more=len(wanted) > RECENT)

    async def history(self, viewer_id: int, call: Call) -> Posts:
        stage = self._stage
        stage._use("feed-graph", "history")
        shown = self._shown(sorted(stage.followed, reverse=True))
        more = bool(stage.older)
        return replace(
            shown, has_more=more, celebrities=list(stage.celebrities), friends=stage.friends
        )

    async def celebrities(self, viewer_id: int, call: Call) -> Sequence[int]:
        self._stage._use("feed-graph", "celebrities")
        return list(self._stage.celebrities)

    async def newest(self, author_id: int, announced: int = 0) -> Sequence[int]:
        if author_id == EVERYBODY:
            self._stage._use("popular", "popular")
            return self._stage.popular
        self._stage._use("celebrity", f"newest up to {announced}")
        return self._stage.celebrities[author_id]


def ask(
    stage: Stage,
    *,
    mode: Literal["ranked", "recency"] = "recency",
    limit: int = 3,
    cursor: Cursor | None = None,
    since: int = 0,
    suggests: bool = True,
) -> Page:
    graph = Graph(stage)
    reader = FeedReader(timelines=Timelines(stage), graph=graph, celebrities=graph, host=stage)
    question = Question(VIEWER, mode, limit, cursor or Cursor(None), since, suggests)

    async def run() -> Page:
        page = await reader.page(question, CALL, stage)
        # A timeline is kept in the background.
        await asyncio.sleep(0)
        return page

    return asyncio.run(run())


def ids(page: Page) -> list[int]:
    return [each.id for each in page.items]


def walk(stage: Stage, mode: Literal["ranked", "recency"], limit: int) -> list[int]:
    """Return all that is shown from the first page to the last."""
    shown: list[int] = []
    cursor: Cursor | None = Cursor(None)
    while cursor is not None:
        page = ask(stage, mode=mode, limit=limit, cursor=cursor)
        shown.extend(ids(page))
        cursor = page.next
    return shown


def test_pushed_posts_and_those_of_celebrities_are_shown_newest_first() -> None:
    stage = Stage(pushed=[10, 30], celebrities={5: [20, 40]})
    assert ids(ask(stage, limit=4)) == [40, 30, 20, 10]
    assert stage.marks == []


def test_a_page_costs_one_read_of_redis_and_one_batch_of_posts() -> None:
    stage = Stage(pushed=[10, 20, 30])
    ask(stage)
    assert stage.asked == ["read", "posts"]


@pytest.mark.parametrize("mode", ["recency", "ranked"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 6, 7, 20])
def test_pages_show_each_post_once_and_leave_none_out(
    mode: Literal["ranked", "recency"], count: int
) -> None:
    stage = Stage(
        pushed=list(range(100, 100 + count)),
        celebrities={5: [101, 99]},
        likes={100: 50, 103: 9, 110: 1000},
    )
    shown = walk(stage, mode, limit=3)
    assert len(shown) == len(set(shown))
    assert set(shown) == set(stage.pushed) | {101, 99}


def test_a_ranked_page_is_the_better_half_of_its_window_and_the_rest_comes_next() -> None:
    stage = Stage(pushed=[1, 2, 3, 4], likes={1: 1000, 2: 500})
    first = ask(stage, mode="ranked", limit=2)
    assert ids(first) == [1, 2]
    stage.likes = {3: 9999}
    second = ask(stage, mode="ranked", limit=2, cursor=first.next)
    assert ids(second) == [4, 3]


def test_a_timeline_that_is_not_all_is_continued_from_the_graph_without_gaps() -> None:
    older = list(range(1, 20))
    stage = Stage(pushed=[30, 31, 32, 33], older=older, is_whole=False)
    assert walk(stage, "recency", limit=3) == [33, 32, 31, 30, *reversed(older)]


def test_a_dropped_timeline_in_the_middle_of_a_walk_costs_no_post() -> None:
    stage = Stage(is_built=False, followed=[30, 31, 32], older=list(range(1, 9)))
    page = ask(stage, limit=2, cursor=Cursor(30))
    assert ids(page) == [8, 7]


def test_since_shows_only_what_is_newer_in_order() -> None:
    stage = Stage(pushed=[1, 2, 3, 4], likes={3: 1000})
    assert ids(ask(stage, since=2)) == [4, 3]
    assert ids(ask(stage, since=4)) == []


def test_a_short_ranked_feed_is_filled_with_popular_posts_that_say_so() -> None:
    stage = Stage(
        pushed=[1, 2], popular=[9, 2, 8, 7, 6], authors={2: VIEWER, 9: 3, 8: 3, 7: 3, 6: 3}
    )
    first = ask(stage, mode="ranked", limit=4)
    assert [(each.id, each.reason) for each in first.items] == [
        (1, "followed"),
        (2, "own"),
        (9, "popular"),
        (8, "popular"),
    ]
    assert stage.marks == []
    second = ask(stage, mode="ranked", limit=4, cursor=first.next)
    assert [(each.id, each.reason) for each in second.items] == [(7, "popular"), (6, "popular")]
    assert second.next is None


def test_who_follows_enough_gets_no_suggestions_and_neither_does_who_asks_for_order() -> None:
    stage = Stage(pushed=list(range(1, 9)), popular=[20])
    ask(stage, mode="ranked", limit=4)
    ask(stage, mode="recency", limit=50)
    ask(stage, mode="ranked", limit=50, since=2)
    assert "popular" not in stage.asked


def test_suggestions_that_are_given_up_for_now_are_missed_with_a_mark() -> None:
    stage = Stage(pushed=[1], popular=[2])
    assert ids(ask(stage, mode="ranked", suggests=False)) == [1]
    assert stage.marks == ["partial knob"]


def test_a_short_feed_whose_suggestions_are_lost_is_shown_and_marked() -> None:
    stage = Stage(pushed=[1], popular=[2], lost={"popular"})
    assert ids(ask(stage, mode="ranked")) == [1]
    assert stage.marks == ["partial popular"]


def test_likes_and_follows_in_both_apps_make_an_author_come_first() -> None:
    authors = {1: 11, 2: 12, 3: 13}
    stage = Stage(pushed=[1, 2, 3], authors=authors, friends=[12], affinity={11: 9})
    assert ids(ask(stage, mode="ranked")) == [1, 2, 3]


def test_the_last_announcement_of_a_celebrity_is_handed_to_who_pulls() -> None:
    stage = Stage(celebrities={5: [20]})
    ask(stage)
    assert "newest up to 1" in stage.asked


def test_old_ties_are_renewed_behind_the_reader_s_back() -> None:
    stage = Stage(pushed=[1], celebrities={5: []}, friends=[8], ties_age_s=TIES_FRESH_S + 1)
    assert ids(ask(stage)) == [1]
    assert stage.renewed == [Ties(NOW, [5], [8], is_whole=True)]


def test_posts_that_the_viewer_may_not_see_leave_the_page() -> None:
    stage = Stage(pushed=[1, 2, 3], hidden={2})
    assert ids(ask(stage)) == [3, 1]


def test_the_first_read_is_answered_from_the_graph_and_kept() -> None:
    stage = Stage(is_built=False, followed=[1, 2, 3], pushed=[4])
    assert ids(ask(stage, limit=4)) == [4, 3, 2, 1]
    assert stage.asked[:2] == ["read", "begin"]
    assert stage.built == [(TOKEN, [3, 2, 1], Ties(NOW, [], [], is_whole=True))]
    assert stage.marks == []


def test_an_incomplete_history_is_shown_but_not_kept() -> None:
    stage = Stage(is_built=False, followed=[1, 2], graph_says=("posts;mode=cached;cause=graph-pg",))
    assert ids(ask(stage)) == [2, 1]
    assert stage.built == []
    assert stage.marks == ["posts;mode=cached;cause=graph-pg"]


def test_a_timeline_that_cannot_be_kept_costs_the_reader_nothing() -> None:
    stage = Stage(is_built=False, followed=[1, 2], lost={"finish"})
    assert ids(ask(stage)) == [2, 1]
    assert len(stage.errors) == 1


def test_without_timelines_everybody_pulls_and_it_is_marked() -> None:
    stage = Stage(pushed=[9], followed=[1, 2, 3], lost={"feed-timeline"})
    assert ids(ask(stage)) == [3, 2, 1]
    assert stage.marks == ["pull feed-timeline"]
    assert len(stage.errors) == 1


@pytest.mark.parametrize("mode", ["recency", "ranked"])
def test_pull_mode_pages_without_repeats_or_gaps(mode: Literal["ranked", "recency"]) -> None:
    stage = Stage(followed=list(range(1, 12)), lost={"feed-timeline"})
    shown = walk(stage, mode, limit=2)
    assert sorted(shown) == stage.followed


def test_with_its_fallback_off_a_lost_timeline_is_an_error() -> None:
    stage = Stage(followed=[1], lost={"feed-timeline"}, allowed=False)
    with pytest.raises(EdgeError) as caught:
        ask(stage)
    assert caught.value.edge == "feed-timeline"
    assert stage.marks == []


def test_a_lost_graph_is_the_caller_s_to_cover() -> None:
    with pytest.raises(EdgeError) as caught:
        ask(Stage(pushed=[1], lost={"feed-graph"}))
    assert caught.value.edge == "feed-graph"


def test_a_page_of_which_no_post_can_be_read_counts_as_a_lost_graph() -> None:
    stage = Stage(pushed=[1], hidden={1}, graph_says=("posts;mode=cached;cause=graph-pg",))
    with pytest.raises(EdgeError):
        ask(stage)


def test_a_celebrity_who_cannot_be_pulled_is_left_out_and_marked() -> None:
    stage = Stage(pushed=[1, 2], celebrities={5: [3]}, lost={"celebrity"})
    assert ids(ask(stage)) == [2, 1]
    assert stage.marks == ["partial celebrity"]


@pytest.mark.parametrize(
    ("status", "is_stale"),
    [
        pytest.param(FanoutStatus(NOW, 0.0), False, id="up to date"),
        pytest.param(FanoutStatus(NOW, LAG_LIMIT_S), False, id="exactly at the limit"),
        pytest.param(FanoutStatus(NOW, LAG_LIMIT_S + 0.1), True, id="behind"),
        pytest.param(FanoutStatus(NOW - LAG_LIMIT_S - 1, 0.0), True, id="silent"),
        pytest.param(None, True, id="never heard of"),
    ],
)
def test_a_feed_is_marked_when_the_worker_is_behind(
    status: FanoutStatus | None, is_stale: bool
) -> None:
    stage = Stage(pushed=[1], lag=status)
    ask(stage)
    assert stage.marks == (["stale worker"] if is_stale else [])


class MovingClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


class Loader:
    def __init__(self) -> None:
        self.loads = 0
        self.is_lost = False
        self.clock = MovingClock()
        self.posts = CelebrityPosts(self.load, self.clock)

    async def load(self, author_id: int) -> Sequence[int]:
        await asyncio.sleep(0)
        self.loads += 1
        if self.is_lost:
            raise EdgeFailedError("feed-graph", "refused")
        return [self.loads]


def test_many_readers_of_one_celebrity_ask_the_graph_once() -> None:
    loader = Loader()

    async def run() -> list[Sequence[int]]:
        return await asyncio.gather(*(loader.posts.newest(5) for _ in range(50)))

    assert asyncio.run(run()) == [[1]] * 50
    assert loader.loads == 1


def test_a_celebrity_s_list_is_asked_for_again_once_it_is_old() -> None:
    loader = Loader()

    async def run() -> None:
        await loader.posts.newest(5)
        loader.clock.now_s = FRESH_S
        assert await loader.posts.newest(5) == [1]
        loader.clock.now_s = FRESH_S + 0.1
        assert await loader.posts.newest(5) == [2]

    asyncio.run(run())


def test_an_announced_post_is_loaded_at_once_and_only_once_even_if_it_is_gone() -> None:
    loader = Loader()

    async def run() -> None:
        await loader.posts.newest(5)
        assert await loader.posts.newest(5, 40) == [2]
        # The post 40 may be deleted by now: having looked for it is enough.
        assert await loader.posts.newest(5, 40) == [2]

    asyncio.run(run())


def test_a_load_that_began_before_the_announcement_is_done_again() -> None:
    loader = Loader()

    async def run() -> None:
        early = asyncio.create_task(loader.posts.newest(5))
        await asyncio.sleep(0)
        late = asyncio.create_task(loader.posts.newest(5, 40))
        assert (await early, await late) == ([1], [2])

    asyncio.run(run())


def test_a_known_list_outlives_the_loss_of_the_graph_and_an_unknown_one_is_an_error() -> None:
    loader = Loader()

    async def run() -> None:
        await loader.posts.newest(5)
        loader.clock.now_s = FRESH_S + 1
        loader.is_lost = True
        assert await loader.posts.newest(5) == [1]
        with pytest.raises(EdgeError):
            await loader.posts.newest(6)

    asyncio.run(run())


def test_a_reader_who_goes_away_does_not_end_the_load_of_the_others() -> None:
    loader = Loader()

    async def run() -> None:
        first = asyncio.create_task(loader.posts.newest(5))
        second = asyncio.create_task(loader.posts.newest(5))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == [1]

    asyncio.run(run())
