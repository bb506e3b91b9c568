"""Locust's own options and shapes, with arrivals that come from the plan."""

from __future__ import annotations

import csv
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

# What the conftests' fixtures make; their classes cannot be imported from here.
Target = Any
Locust = Callable[..., Any]

SHAPE = """
class Wave(LoadTestShape):
    def tick(self):
        moment = self.get_run_time()
        return {tick}
"""


def test_journeys_without_a_chosen_tag_leave_the_mix_and_the_count_stays(
    target: Target, locust: Locust
) -> None:
    running = locust("--tags", "read", "--host", target.url)
    assert running.process.wait(90) == 0, running.output()
    assert set(target.seen) == {"/a", "/c"}
    assert sum(target.seen.values()) == 80
    assert 0.5 < target.seen["/a"] / 80 < 0.85  # two to one


def test_journeys_with_an_excluded_tag_leave_the_mix(target: Target, locust: Locust) -> None:
    running = locust("--exclude-tags", "fast", "--host", target.url, has_mix=False)
    assert running.process.wait(90) == 0, running.output()
    assert set(target.seen) == {"/a", "/b"}
    assert sum(target.seen.values()) == 80


def test_tags_that_leave_nothing_end_the_run_and_say_what_there_is(
    target: Target, locust: Locust
) -> None:
    running = locust("--tags", "nothing", "--host", target.url)
    assert running.process.wait(90) == 2, running.output()
    assert "leave no journey of Someone; its tags: fast, read" in running.output()
    assert not target.seen


def test_a_task_of_locusts_own_beside_journeys_is_refused(target: Target, locust: Locust) -> None:
    more = "    @task\n    def other(self):\n        pass\n"
    running = locust("--host", target.url, imports="tag, task", more=more)
    assert running.process.wait(90) == 2, running.output()
    assert "Someone has other marked with @task; accepted:" in running.output()
    assert not target.seen


def test_a_shapes_user_counts_do_not_change_the_rate(target: Target, locust: Locust) -> None:
    shape = SHAPE.format(tick="(1 + 3 * int(moment), 100)")
    running = locust("--host", target.url, imports="tag, LoadTestShape", more=shape, duration_s=3)
    assert running.process.wait(90) == 0, running.output()
    assert "updating to" in running.output()
    assert sum(target.seen.values()) == 120


def test_a_shape_that_is_over_ends_the_run_in_order(
    target: Target, locust: Locust, tmp_path: Path
) -> None:
    shape = SHAPE.format(tick="None if moment > 2 else (1, 1)")
    running = locust(
        *("--host", target.url, "--json-file", str(tmp_path / "all")),
        imports="tag, LoadTestShape",
        more=shape,
        duration_s=60,
    )
    assert running.process.wait(90) == 0, running.output()
    entries = json.loads((tmp_path / "all.json").read_text())
    assert sum(each["num_requests"] for each in entries) == sum(target.seen.values())
    assert 0 < sum(target.seen.values()) < 60 * 40


def test_a_shape_that_takes_the_user_away_ends_the_schedule_for_good(
    target: Target, locust: Locust
) -> None:
    tick = "None if moment > 6 else ((0, 9) if 2 < moment < 4 else (1, 9))"
    running = locust(
        *("--host", target.url),
        imports="tag, LoadTestShape",
        more=SHAPE.format(tick=tick),
        duration_s=8,
    )
    assert running.process.wait(90) == 0, running.output()
    assert "this test's schedule has been driven" in running.output()
    assert 0 < sum(target.seen.values()) < 5 * 40


@pytest.mark.parametrize("end", ["time limit", "ctrl-c", "schedule"])
def test_csv_and_json_hold_the_whole_run_however_it_ends(
    target: Target, locust: Locust, tmp_path: Path, end: str
) -> None:
    limit = ("--run-time", "6s") if end == "time limit" else ()
    running = locust(
        *("--host", target.url, "--csv", str(tmp_path / "all"), *limit),
        *("--json-file", str(tmp_path / "all")),
        duration_s=2.5 if end == "schedule" else 60,
    )
    if end == "ctrl-c":
        running.wait_until(lambda: sum(target.seen.values()) > 50)
        running.process.send_signal(signal.SIGINT)
    assert running.process.wait(90) == 0, running.output()
    with (tmp_path / "all_stats.csv").open() as file:
        rows = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    assert rows.pop("Aggregated") == sum(target.seen.values()) == sum(rows.values())
    assert rows == dict(target.seen)
    entries = json.loads((tmp_path / "all.json").read_text())
    assert {each["name"]: each["num_requests"] for each in entries} == rows
    assert "Traceback" not in running.output().replace("KeyboardInterrupt", "")


def test_a_stop_with_a_timeout_lets_sessions_under_way_end(target: Target, locust: Locust) -> None:
    more = """
    @journey("slow")
    async def slow(self):
        await self.client.get("/first")
        await self.think(2.0)
        await self.client.get("/last")
"""
    running = locust(
        *("--host", target.url, "--stop-timeout", "30"), more=more, has_mix=False, duration_s=60
    )
    running.wait_until(lambda: target.seen["/first"] > 5)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(90) == 0, running.output()
    assert target.seen["/last"] == target.seen["/first"]
    assert "Not all users finished" not in running.output()


def test_listeners_hear_of_every_request_with_its_numbers(
    target: Target, locust: Locust, tmp_path: Path
) -> None:
    more = """
from locust import events

@events.request.add_listener
def note(request_type, name, response_time, response_length, exception, start_time, **rest):
    with open("heard.txt", "a") as file:
        file.write(f"{request_type} {name} {response_time} {response_length} {exception}\\n")
"""
    running = locust("--host", target.url, "--csv", str(tmp_path / "all"), more=more, rate=200)
    target.status = b"404 Nothing"
    assert running.process.wait(90) in {0, 1}, running.output()
    heard = (tmp_path / "heard.txt").read_text().splitlines()
    assert len(heard) == sum(target.seen.values()) == 400
    assert all(line.endswith("error status_404") for line in heard)
    assert all(0 < float(line.split()[2]) < 60_000 for line in heard)
    with (tmp_path / "all_stats.csv").open() as file:
        total = next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
    assert total["Request Count"] == total["Failure Count"] == "400"


def test_a_listener_can_stop_the_test(target: Target, locust: Locust) -> None:
    more = """
from locust import events
from locust.exception import StopTest

@events.request.add_listener
def enough(**rest):
    raise StopTest("seen enough")
"""
    running = locust("--host", target.url, more=more, duration_s=60)
    running.process.wait(90)
    assert "seen enough" in running.output()
    assert sum(target.seen.values()) < 60 * 40


def test_code_that_blocks_the_loop_is_named_in_the_log(
    target: Target, locust: Locust, tmp_path: Path
) -> None:
    more = """
    @journey("sleeper", weight=0.2)
    async def sleeper(self):
        await self.client.get("/s")
        import time
        time.sleep(0.2)
"""
    running = locust("--host", target.url, more=more, has_mix=False, duration_s=4, rate=20)
    assert running.process.wait(90) == 0, running.output()
    assert re.search("journey 'sleeper' blocked the event loop for [12]..? ms", running.output())
    line = 1 + (
        (tmp_path / "scenario.py").read_text().splitlines().index("        time.sleep(0.2)")
    )
    assert f"scenario.py:{line} in Someone.sleeper" in running.output()
    # Everybody else is innocent.
    assert running.output().count("blocked the event loop") == 1
