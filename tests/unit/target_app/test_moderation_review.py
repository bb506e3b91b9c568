"""The recheck of posts that wait: each is judged once, and a lost judge holds nobody up."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from target_app.edge import EdgeFailedError, HttpAnswer
from target_app.worker.review import PENDING, Reviewer


@dataclass
class World:
    """Waiting posts by id, the verdict on each, and what became of them."""

    verdicts: dict[int, str]
    is_lost: bool = False
    asked: list[str] = field(default_factory=list)
    states: dict[int, int] = field(default_factory=dict)

    async def fetch(self, query: str, after: int, limit: int) -> list[dict[str, object]]:
        assert query == PENDING
        waiting = sorted(each for each in self.verdicts if each not in self.states)
        found = [each for each in waiting if each > after][:limit]
        return [{"post_id": each, "text": f"post {each}"} for each in found]

    async def request(self, method: str, path: str, **sent: Any) -> HttpAnswer:
        if path == "/moderation/check":
            if self.is_lost:
                raise EdgeFailedError("worker-moderation", "refused")
            text = sent["json"]["text"]
            self.asked.append(text)
            verdict = self.verdicts[int(text.removeprefix("post "))]
            return HttpAnswer(200, {}, json.dumps({"verdict": verdict}).encode())
        post_id = int(path.removeprefix("/internal/posts/").removesuffix("/review"))
        self.states[post_id] = sent["json"]["state"]
        return HttpAnswer(200, {}, b"{}")

    def reviewer(self) -> Reviewer:
        return Reviewer(self, self, self)  # type: ignore[arg-type]


def go_through(reviewer: Reviewer, pages: int = 1) -> None:
    async def run() -> None:
        for _ in range(pages):
            await reviewer.review_page()

    asyncio.run(run())


def test_what_waits_is_shown_or_taken_away_as_the_verdict_says() -> None:
    world = World({1: "ok", 2: "reject", 3: "review", 4: "ok"})
    go_through(world.reviewer())
    assert world.states == {1: 1, 2: 3, 4: 1}


def test_a_doubtful_post_waits_for_a_person_and_is_not_asked_about_again() -> None:
    world = World({3: "review"})
    go_through(world.reviewer(), pages=5)
    assert (world.asked, world.states) == (["post 3"], {})


def test_all_pages_have_their_turn_and_a_late_post_with_a_smaller_id_too() -> None:
    world = World(dict.fromkeys(range(10, 460), "review"))
    reviewer = world.reviewer()
    go_through(reviewer, pages=3)
    assert len(world.asked) == 450
    world.verdicts[1] = "ok"
    go_through(reviewer, pages=1)
    assert world.states == {1: 1}


def test_while_moderation_is_lost_posts_go_on_waiting() -> None:
    world = World({1: "ok"}, is_lost=True)
    reviewer = world.reviewer()
    with pytest.raises(EdgeFailedError):
        go_through(reviewer)
    assert world.states == {}
    world.is_lost = False
    go_through(reviewer)
    assert world.states == {1: 1}
