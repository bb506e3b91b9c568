"""Ordinary Locust user classes, unchanged, by the plan's arrivals against a real server."""

from __future__ import annotations

import csv
import json
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeproof.load.schedule import build_schedule
from surgeproof.model.plan import Timeouts

pytestmark = pytest.mark.integration

# What the conftests' fixtures make; their classes cannot be imported from here.
Target = Any
StartPlain = Callable[..., Any]

SHOP = """
from locust import HttpUser, FastHttpUser, between, task

class Shopper({base}):
    wait_time = between(100, 200)

    def on_start(self):
        self.client.get("/login")

    @task(3)
    def look(self):
        self.client.get("/a")

    @task
    def buy(self):
        with self.client.post("/b", json={{"x": 1}}, catch_response=True) as answer:
            answer.failure("sold out")
"""
full = pytest.mark.full
EACH_CLIENT = [
    pytest.param("HttpUser", "locust", marks=full),
    ("FastHttpUser", "locust"),
    ("HttpUser", "surgeproof"),
]
STALL_S = 1.0
# Of a whole second: a busy machine may serve the last requests of a stall this much later.
SLACK_S = 0.25


def rows_of(path: str) -> dict[str, dict[str, str]]:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - the name has a suffix of Locust's
        return {row["Name"]: row for row in csv.DictReader(file)}


def stall_in(target: Target, run: Any, delay_s: float) -> None:
    """Let the target stand still that long after the run's start, once there is one."""

    def arm() -> None:
        while not run.t0 and run.process.poll() is None:
            time.sleep(0.01)
        target.stall_at = run.t0 + delay_s

    threading.Thread(target=arm, daemon=True).start()


@pytest.mark.parametrize(
    ("base", "client"),
    EACH_CLIENT,
)
def test_every_arrival_is_one_task_at_the_moment_of_the_plans_schedule(
    target: Target, start_plain: StartPlain, base: str, client: str
) -> None:
    run = start_plain(target.url, SHOP.format(base=base), client=client)
    assert run.wait() == 0, run.said
    samples = run.samples
    schedule = build_schedule(run.order.load, run.order.seed)
    schedule = schedule.with_weights({"look": 0.75, "buy": 0.25}, run.order.seed)
    assert len(samples) == len(schedule) == 100
    assert len(run.drops) == 0
    np.testing.assert_allclose(samples.intended_s, schedule.times_s, atol=1e-6)
    wanted = [schedule.journeys[number] for number in schedule.journey_index]
    names = [samples.name.words[code] for code in samples.name.codes]
    assert names == [{"look": "GET /a", "buy": "POST /b"}[each] for each in wanted]
    assert (target.seen["/a"], target.seen["/b"]) == (wanted.count("look"), wanted.count("buy"))
    assert np.all(samples.start_s >= samples.intended_s - 1e-3)
    assert np.all(samples.end_s >= samples.start_s)
    assert set(samples.status.tolist()) == {200}
    assert all(b"hush" in head for head in target.headers)


def test_a_declared_failure_is_wrong_and_locust_counts_each_request_once(
    target: Target, start_plain: StartPlain
) -> None:
    run = start_plain(target.url, SHOP.format(base="FastHttpUser"), has_csv=True)
    assert run.wait() == 0, run.said
    bought = run.samples.name.equal("POST /b")
    assert np.all(run.samples.outcome.equal("wrong") == bought)
    assert set(run.samples.error_kind.words) == {"", "check"}
    rows = rows_of(f"{run.csv}_stats.csv")
    assert rows["Aggregated"]["Request Count"] == "100"
    assert rows["/b"]["Failure Count"] == rows["/b"]["Request Count"] == str(bought.sum())
    assert "/login" not in rows  # `on_start` is no arrival


def test_instances_start_before_the_run_as_many_as_its_busiest_second_wants(
    target: Target, start_plain: StartPlain
) -> None:
    run = start_plain(target.url, SHOP.format(base="FastHttpUser"), duration_s=1)
    assert run.wait() == 0, run.said
    assert target.seen["/login"] == 50
    assert "GET /login" not in run.samples.name.words


@pytest.mark.parametrize("client", [pytest.param("locust", marks=full), "surgeproof"])
def test_a_stall_is_seen_in_full_by_the_journal_and_by_locusts_statistics(
    target: Target, start_plain: StartPlain, client: str
) -> None:
    target.stall_s = STALL_S
    run = start_plain(
        target.url, SHOP.format(base="HttpUser"), duration_s=3, client=client, has_csv=True
    )
    stall_in(target, run, 1.0)
    assert run.wait() == 0, run.said
    longest_s = float(run.samples.response_time_s.max())
    assert STALL_S - SLACK_S < longest_s < STALL_S + 2 * SLACK_S
    waited = run.samples.response_time_s > 0.1
    # One arrival every 20 ms: those of the stall's first 900 ms waited longer than 100 ms.
    assert 40 <= int(waited.sum()) <= 65
    told_ms = float(rows_of(f"{run.csv}_stats.csv")["Aggregated"]["Max Response Time"])
    assert abs(told_ms / 1e3 - longest_s) < 0.01


def test_arrivals_beyond_the_bound_are_dropped_and_counted(
    target: Target, start_plain: StartPlain
) -> None:
    slow = """
import time
from locust import FastHttpUser, task

class Slow(FastHttpUser):
    @task
    def look(self):
        self.client.get("/a")
        time.sleep(0.5)
"""
    run = start_plain(target.url, slow, duration_s=1, max_in_flight=5)
    assert run.wait() == 0, run.said
    assert len(run.drops) > 0
    assert len(run.samples) + len(run.drops) == 50
    assert len(run.samples) <= 15
    last = json.loads(run.pulses()[-1])
    assert (last["sent"], last["dropped"]) == (len(run.samples), len(run.drops))
    assert last["end"] is True
    # A drop is named by the request that its task begins with, so that gates on it count it.
    assert "GET /a" in run.drops.name.words


def test_a_session_is_a_whole_sequence_with_the_users_wait_between_its_tasks(
    target: Target, start_plain: StartPlain
) -> None:
    sequence = """
from locust import FastHttpUser, SequentialTaskSet, constant, task

class Buyer(FastHttpUser):
    wait_time = constant(0.2)

    @task
    class Purchase(SequentialTaskSet):
        def on_start(self):
            self.client.get("/cart")

        @task
        def look(self):
            self.client.get("/a")

        @task
        def pay(self):
            self.client.post("/b", data={"sum": 1})
"""
    run = start_plain(target.url, sequence, rate=10, unit="session")
    assert run.wait() == 0, run.said
    samples = run.samples
    assert len(samples) == 60
    for session in range(20):
        mine = samples.take(samples.session == session)
        mine = mine.take(np.argsort(mine.step))
        names = [mine.name.words[code] for code in mine.name.codes]
        assert names == ["GET /cart", "GET /a", "POST /b"]
        assert mine.start_s[2] - mine.end_s[1] >= 0.19
        # What a user thinks is no latency.
        assert float(mine.response_time_s[2]) < 0.2


def test_a_task_that_only_interrupts_its_set_hands_its_arrival_on(
    target: Target, start_plain: StartPlain
) -> None:
    nested = """
from locust import FastHttpUser, TaskSet, task

class Visitor(FastHttpUser):
    @task
    class Browse(TaskSet):
        @task
        def look(self):
            self.client.get("/a")

        @task
        def leave(self):
            self.interrupt()
"""
    run = start_plain(target.url, nested, duration_s=1)
    assert run.wait() == 0, run.said
    assert (len(run.samples), len(run.drops)) == (50, 0)
    assert target.seen["/a"] == 50


def test_a_task_that_raises_is_logged_with_its_name_and_stops_no_other(
    target: Target, start_plain: StartPlain
) -> None:
    broken = """
from locust import FastHttpUser, task

class Visitor(FastHttpUser):
    @task
    def look(self):
        self.client.get("/a")

    @task
    def stumble(self):
        self.client.get("/b")
        raise LookupError("no such thing")
"""
    run = start_plain(target.url, broken, duration_s=1)
    assert run.wait() == 0, run.said
    assert len(run.samples) == 50
    assert "task stumble raised LookupError('no such thing')" in run.said


def test_requests_under_way_at_the_end_are_unfinished_samples(
    target: Target, start_plain: StartPlain
) -> None:
    patient = """
from locust import HttpUser, task
class Visitor(HttpUser):
    @task
    def look(self):
        self.client.get("/a")
"""
    run = start_plain(
        target.url,
        patient,
        duration_s=1,
        rate=10,
        timeouts=Timeouts(connect_s=0.5, read_s=0.5, total_s=0.5),
    )
    target.stall_s = 1.8
    stall_in(target, run, 0.5)
    assert run.wait() == 0, run.said
    # The target would leave connections open that it is too stalled to see end.
    time.sleep(max(0.0, run.t0 + 0.5 + target.stall_s + SLACK_S - time.monotonic()))
    samples = run.samples
    assert len(samples) + len(run.drops) == 10
    unfinished = np.isnan(samples.end_s)
    assert 3 <= int(unfinished.sum()) <= 6
    assert np.all(samples.error_kind.equal("unfinished") == unfinished)


def test_a_mix_names_tasks_and_an_unknown_one_ends_the_run_before_it_starts(
    target: Target, start_plain: StartPlain
) -> None:
    run = start_plain(target.url, SHOP.format(base="HttpUser"), mix={"look": 1.0, "steal": 1.0})
    assert run.wait() == 2
    assert "has no task 'steal', which a mix names; accepted: look, buy" in run.said
    assert not target.seen


@pytest.mark.parametrize(
    ("base", "client"),
    EACH_CLIENT,
)
def test_the_plans_bundle_decides_whom_each_client_trusts(
    make_target: Callable[..., Target],
    start_plain: StartPlain,
    certificate: tuple[Path, ssl.SSLContext],
    base: str,
    client: str,
) -> None:
    bundle, context = certificate
    target = make_target(context)
    shop = SHOP.format(base=base)
    run = start_plain(target.url, shop, rate=10, duration_s=1, client=client, ca_bundle=bundle)
    assert run.wait() == 0, run.said
    assert len(run.samples) == 10
    assert set(run.samples.status.tolist()) == {200}


@pytest.mark.parametrize("client", [pytest.param("locust", marks=full), "surgeproof"])
def test_a_server_that_nobody_vouches_for_is_a_tls_error(
    make_target: Callable[..., Target],
    start_plain: StartPlain,
    certificate: tuple[Path, ssl.SSLContext],
    client: str,
) -> None:
    target = make_target(certificate[1])
    shop = SHOP.format(base="HttpUser")
    run = start_plain(target.url, shop, rate=10, duration_s=1, client=client)
    assert run.wait() == 0, run.said
    assert len(run.samples) == 10
    looked = run.samples.take(run.samples.name.equal("GET /a"))
    assert looked.error_kind.equal("tls").all()
    assert not target.seen
