"""Whatever way a feed is made, nobody sees what they must not or do not want to see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_app.edge import Deadline, EdgeFailedError, HttpAnswer
from target_app.feed.cursor import Cursor
from target_app.feed.graph import Call, Graph
from target_app.feed.keys import FanoutStatus, Ties
from target_app.feed.reader import EVERYBODY, FeedReader
from target_app.feed.timelines import Snapshot
from target_app.feed.window import Question

VIEWER = 1
CELEBRITY = 9
POSTS = range(100, 124)
CALL = Call(Deadline(0.0), {})

Path = Literal["pushed", "built", "pulled", "older"]


@dataclass(frozen=True)
class World:
    """Who wrote what, and what of it the viewer must not see; the graph knows, the feed asks."""

    authors: Mapping[int, int]
    blocked: frozenset[int]
    muted: frozenset[int]
    private: frozenset[int]
    deleted: frozenset[int]
    pending: frozenset[int]

    def may_be_shown(self, post_id: int) -> bool:
        author = self.authors[post_id]
        is_hidden = author in self.blocked | self.muted | self.private
        is_pending = post_id in self.pending and author != VIEWER
        return not is_hidden and not is_pending and post_id not in self.deleted


class GraphEdge:
    """The graph's side of the edge: it hides what it is asked to hide, and nothing else."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        headers: Mapping[str, str],
        deadline: Deadline,
        idempotent: bool = False,
    ) -> HttpAnswer:
        if method == "GET":
            return answer({"ids": [CELEBRITY]})
        if path == "/internal/recent":
            before = json.get("before") or max(POSTS) + 1
            asked = [each for each in reversed(POSTS) if each < before]
        else:
            asked = json["ids"]
        assert json["viewer_id"] == VIEWER
        world = self._world
        if not json["hide_muted"]:
            world = replace(world, muted=frozenset())
        shown = [each for each in asked if world.may_be_shown(each)]
        return answer({"posts": [as_post(each, world.authors[each]) for each in shown]})


def as_post(post_id: int, author_id: int) -> dict[str, object]:
    counts = {"likes": 0, "replies": 0, "reply_to": None}
    named = {"id": post_id, "author_id": author_id, "handle": "h", "text": "t"}
    return {**named, **counts, "created_at": 0.0}


def answer(body: object) -> HttpAnswer:
    return HttpAnswer(200, {}, json.dumps(body).encode())


class Timelines:
    """A timeline that holds everything, as if nothing had ever been taken out of it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(
        self, viewer_id: int, *, before: int | None, count: int, deadline: Deadline
    ) -> Snapshot:
        if self._path == "pulled":
            raise EdgeFailedError("feed-timeline", "lost")
        there = [each for each in reversed(POSTS) if before is None or each < before][:count]
        ties = Ties(0.0, [CELEBRITY], [], is_whole=self._path != "older")
        fanout = FanoutStatus(0.0, 0.0)
        if self._path == "built":
            return Snapshot([], None, fanout=fanout)
        kept = there if self._path == "pushed" else there[:2]
        return Snapshot(kept, ties, is_whole=ties.is_whole, fanout=fanout)

    async def begin_building(self, viewer_id: int, *, deadline: Deadline) -> int:
        return 1

    async def finish_building(
        self, viewer_id: int, token: int, post_ids: Iterable[int], ties: Ties, *, deadline: Deadline
    ) -> None: ...

    async def renew_ties(self, viewer_id: int, ties: Ties, *, deadline: Deadline) -> None: ...


class Lists:
    """Celebrities' posts, and popular ones: those of everybody, read for nobody in particular."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def newest(self, author_id: int, announced: int = 0) -> Sequence[int]:
        return [each for each in POSTS if author_id in (EVERYBODY, self._world.authors[each])]


class Host:
    @property
    def clock(self) -> Host:
        return self

    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 0.0

    def fallback_allowed(self, edge: str) -> bool:
        return True

    def note_error(self, feature: str, error: Exception) -> None: ...

    def mark(self, mode: str, cause: str, age_s: float | None = None) -> None: ...

    def relay(self, items: Sequence[str]) -> None: ...


@st.composite
def worlds(draw: st.DrawFn) -> World:
    people = st.integers(VIEWER, CELEBRITY)
    others = st.frozensets(st.integers(VIEWER + 1, CELEBRITY))
    some = st.frozensets(st.sampled_from(POSTS))
    return World(
        authors={post_id: draw(people) for post_id in POSTS},
        blocked=draw(others),
        muted=draw(others),
        private=draw(others),
        deleted=draw(some),
        pending=draw(some),
    )


@pytest.mark.parametrize("path", ["pushed", "built", "pulled", "older"])
@pytest.mark.parametrize("mode", ["ranked", "recency"])
@given(world=worlds(), limit=st.integers(1, 30))
def test_no_way_to_a_page_shows_what_is_hidden_and_none_hides_what_is_not(
    path: Path, mode: Literal["ranked", "recency"], world: World, limit: int
) -> None:
    edge = GraphEdge(world)
    graph = Graph(edge)  # type: ignore[arg-type]
    host = Host()
    reader = FeedReader(timelines=Timelines(path), graph=graph, celebrities=Lists(world), host=host)
    shown: list[int] = []

    async def walk() -> None:
        cursor: Cursor | None = Cursor(None)
        while cursor is not None:
            page = await reader.page(Question(VIEWER, mode, limit, cursor), CALL, host)
            shown.extend(post.id for post in page.items)
            cursor = page.next

    asyncio.run(walk())
    assert all(world.may_be_shown(each) for each in shown)
    assert len(shown) == len(set(shown))
    if path == "pushed":
        assert set(shown) == {each for each in POSTS if world.may_be_shown(each)}
