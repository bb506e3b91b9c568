"""How often the feed asks the graph for the posts of one page."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from target_app.edge import Deadline, HttpAnswer
from target_app.feed.graph import Call, Graph


class Edge:
    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    async def request(self, method: str, path: str, **call: Any) -> HttpAnswer:
        post_ids = call["json"]["ids"]
        self.asked.append(post_ids)
        counts = {"likes": 0, "replies": 0, "reply_to": None, "created_at": 0.0}
        names = {"author_id": 1, "handle": "h", "text": "t"}
        posts = [{"id": each, **names, **counts} for each in post_ids]
        body = {"posts": posts}
        return HttpAnswer(200, {"Degraded": "posts;mode=cached"}, msgspec.json.encode(body))


@pytest.mark.parametrize(
    ("is_broken", "calls"),
    [
        pytest.param(False, [[1, 2, 3]], id="healthy"),
        pytest.param(True, [[1], [2], [3]], id="with the defect n_plus_one"),
    ],
)
def test_a_page_of_posts_is_one_question(is_broken: bool, calls: list[list[int]]) -> None:
    edge: Any = Edge()
    graph = Graph(edge, one_by_one=lambda: is_broken)
    found = asyncio.run(graph.posts([1, 2, 3], 7, Call(Deadline(0.0), {})))
    assert edge.asked == calls
    assert [post.id for post in found.posts] == [1, 2, 3]
    assert set(found.degraded) == {"posts;mode=cached"}
