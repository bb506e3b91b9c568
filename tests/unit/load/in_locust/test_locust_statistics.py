"""Filling Locust's statistics by the batch gives what an event per request would have given."""

from __future__ import annotations

import csv
import io
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from locust import stats as locust_stats
from locust.env import Environment
from locust.event import Events
from locust.stats import RequestStats, StatsCSV

from surgeproof.load.locust_statistics import (
    RequestFailedError,
    Requests,
    fill,
    rounded_ms,
    somebody_listens,
)

# Sums of floats in another order: the last digits.
ROUNDING = 1e-9
# Everything began at this second, which the clock of the statistics says unless told otherwise.
BEGIN_S = 1_700_000_000.0
KINDS = (("GET", "/a"), ("POST", "/a"), ("GET", "/b/{id}"))
REASONS = ("", "error timeout", "shed status_429")


def a_batch(seed: int, count: int, begin_s: float, spread_s: float) -> Requests:
    draw = np.random.default_rng(seed)
    moments = np.sort(begin_s + draw.uniform(0, spread_s, count))
    times = np.exp(draw.normal(3.5, 2.5, count))
    times[draw.random(count) < 0.1] = np.nan
    return Requests(
        kind=draw.integers(0, len(KINDS), count),
        reason=np.where(draw.random(count) < 0.3, draw.integers(1, len(REASONS), count), 0),
        response_ms=times,
        length=draw.integers(0, 10_000, count),
        moment_s=moments,
        kinds=KINDS,
        reasons=REASONS,
    )


class Clock:
    """The time as Locust's statistics see it."""

    def __init__(self) -> None:
        self.now_s = BEGIN_S

    def time(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    with mock.patch.object(locust_stats, "time", clock):
        yield clock


def fired(statistics: RequestStats, batch: Requests, clock: Clock) -> None:
    """What Locust's own listener does for each request at the moment at which it ends."""
    for row in range(len(batch)):
        clock.now_s = float(batch.moment_s[row])
        method, name = batch.kinds[batch.kind[row]]
        reason = batch.reasons[batch.reason[row]]
        response_ms: Any = float(batch.response_ms[row])
        if np.isnan(response_ms):
            response_ms = None
        statistics.log_request(method, name, response_ms, int(batch.length[row]))
        if reason:
            statistics.log_error(method, name, RequestFailedError(reason))


def filled(statistics: RequestStats, batches: list[Requests], clock: Clock) -> None:
    for batch in batches:
        # The engine's rows are taken a moment after they ended.
        clock.now_s = float(batch.moment_s[-1]) + 0.05
        fill(statistics, batch)


def both_ways(
    clock: Clock, batches: list[Requests], *, cached: bool = True
) -> tuple[RequestStats, RequestStats]:
    one, other = RequestStats(cached), RequestStats(cached)
    for batch in batches:
        fired(one, batch, clock)
    clock.now_s = BEGIN_S
    filled(other, batches, clock)
    clock.now_s = float(batches[-1].moment_s[-1]) + 0.5
    return one, other


def assert_equal(one: object, other: object, where: str = "") -> None:
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys(), where
        for key, value in one.items():
            assert_equal(value, other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert isinstance(other, list)
        assert len(one) == len(other), where
        for number, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            assert_equal(mine, theirs, f"{where}[{number}]")
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=ROUNDING), where
    else:
        assert one == other, where


def entries_of(statistics: RequestStats) -> list[Any]:
    # Which of several came first within a tenth of a second is no matter of theirs.
    return sorted(statistics.serialize_stats(), key=lambda each: (each["name"], each["method"]))


def rows_of_csv(statistics: RequestStats) -> list[str]:
    environment = Environment(events=Events())  # type: ignore[no-untyped-call]  # Locust's own
    environment.stats = statistics
    text = io.StringIO()
    writer = StatsCSV(environment, [0.5, 0.66, 0.9, 0.99, 1.0])
    writer.requests_csv(csv.writer(text))
    writer.failures_csv(csv.writer(text))
    return text.getvalue().splitlines()


SECONDS = [a_batch(seed, 400, BEGIN_S + seed / 2, 0.5) for seed in range(30)]


def test_json_and_errors_are_those_of_an_event_per_request(clock: Clock) -> None:
    one, other = both_ways(clock, SECONDS)
    assert_equal(one.serialize_errors(), other.serialize_errors())
    assert_equal(one.total.serialize(), other.total.serialize())
    json.dumps(other.total.serialize())
    assert_equal(entries_of(one), entries_of(other))


def test_what_the_web_ui_shows_is_that_of_an_event_per_request(clock: Clock) -> None:
    one, other = both_ways(clock, SECONDS)
    assert one.total.current_rps == pytest.approx(800, rel=0.2)
    assert one.total.get_current_response_time_percentile(0.95)
    for key, entry in {**one.entries, ("all", ""): one.total}.items():
        twin = other.total if key == ("all", "") else other.entries[key]
        assert_equal(entry.to_dict(), twin.to_dict(), str(key))
        for share in (0.5, 0.95):
            now, then = (each.get_current_response_time_percentile(share) for each in (entry, twin))
            assert now == then
        assert entry.response_times_cache == twin.response_times_cache


def test_the_csv_is_that_of_an_event_per_request(clock: Clock) -> None:
    one, other = both_ways(clock, SECONDS)
    for mine, theirs in zip(rows_of_csv(one), rows_of_csv(other), strict=True):
        for left, right in zip(mine.split(","), theirs.split(","), strict=True):
            try:
                assert float(left) == pytest.approx(float(right), rel=ROUNDING)
            except ValueError:
                assert left == right


def test_requests_are_counted_in_the_second_in_which_they_ended(clock: Clock) -> None:
    batch = a_batch(3, 900, BEGIN_S + 0.7, 4)  # five seconds of the clock in one batch
    one, other = both_ways(clock, [batch])
    assert len(other.total.num_reqs_per_sec) == 5
    assert other.total.num_reqs_per_sec == one.total.num_reqs_per_sec
    assert other.total.num_fail_per_sec == one.total.num_fail_per_sec


def test_a_workers_statistics_keep_no_history(clock: Clock) -> None:
    one, other = both_ways(clock, SECONDS[:4], cached=False)
    assert other.total.response_times_cache is None
    assert_equal(entries_of(one), entries_of(other))


def test_an_attempt_without_end_is_a_request_without_a_response_time(clock: Clock) -> None:
    statistics = RequestStats()
    nothing = Requests(
        kind=np.zeros(3, dtype=np.int64),
        reason=np.ones(3, dtype=np.int64),
        response_ms=np.full(3, np.nan),
        length=np.zeros(3, dtype=np.int64),
        moment_s=np.full(3, BEGIN_S + 1),
        kinds=KINDS,
        reasons=REASONS,
    )
    fill(statistics, nothing)
    total = statistics.total
    assert (total.num_requests, total.num_none_requests, total.num_failures) == (3, 3, 3)
    assert (total.min_response_time, total.avg_response_time) == (None, 0.0)


def test_an_empty_batch_changes_nothing(clock: Clock) -> None:
    statistics = RequestStats()
    fill(statistics, a_batch(1, 5, BEGIN_S, 1).rows(slice(0, 0)))
    assert statistics.total.num_requests == 0
    assert not statistics.entries


def test_what_ended_just_before_a_reset_never_makes_a_negative_rate(clock: Clock) -> None:
    statistics = RequestStats()
    clock.now_s = BEGIN_S + 10
    statistics.reset_all()
    fill(statistics, a_batch(1, 5, BEGIN_S + 9.9, 0.05))
    for entry in (statistics.total, *statistics.entries.values()):
        assert entry.total_rps >= 0
    assert statistics.total.num_requests == 5


@given(st.lists(st.floats(min_value=0, max_value=1e7, allow_nan=False), min_size=1, max_size=50))
def test_rounding_is_locusts_own(values: list[float]) -> None:
    assert rounded_ms(np.array(values)).tolist() == [
        locust_stats.bucket_response_time(value) for value in values
    ]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([0.0, 0.5, 1.5, 2.5, 99.4, 99.5], id="halves below 100 ms"),
        pytest.param([100.0, 105.0, 115.0, np.nextafter(105.0, 200), 995.0], id="halves of tens"),
        pytest.param([1050.0, 1150.0, np.nextafter(1050.0, 0), 9950.0], id="halves of hundreds"),
        pytest.param([10_500.0, 11_500.0, 58_760.0, 1e9], id="halves of thousands"),
    ],
)
def test_rounding_is_locusts_own_where_neighbours_meet(values: list[float]) -> None:
    assert rounded_ms(np.array(values)).tolist() == [
        locust_stats.bucket_response_time(value) for value in values
    ]


def test_a_rounding_put_in_locusts_place_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locust_stats, "bucket_response_time", lambda value: round(value / 7) * 7)
    assert rounded_ms(np.array([13.0, 701.0])).tolist() == [14, 700]


@pytest.fixture
def environment() -> Iterator[Environment]:
    environment = Environment(events=Events())  # type: ignore[no-untyped-call]  # Locust's own
    yield environment
    if environment.runner is not None:
        environment.runner.quit()


@pytest.mark.parametrize("kind", ["local", "master", "worker"])
def test_locusts_own_listeners_are_not_somebody(
    environment: Environment, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from locust import runners
    from locust.rpc import zmqrpc

    for name in ("Server", "Client"):
        monkeypatch.setattr(zmqrpc, name, mock.MagicMock())
    monkeypatch.setattr(runners.WorkerRunner, "connect_to_master", lambda self: None)
    for loop in ("worker", "heartbeat", "heartbeat_timeout_checker", "stats_reporter"):
        monkeypatch.setattr(runners.WorkerRunner, loop, lambda self: None)
    for loop in ("heartbeat_worker", "client_listener"):
        monkeypatch.setattr(runners.MasterRunner, loop, lambda self: None)
    make: dict[str, Callable[[], object]] = {
        "local": environment.create_local_runner,
        "master": environment.create_master_runner,
        "worker": lambda: environment.create_worker_runner("127.0.0.1", 1),
    }
    make[kind]()
    assert environment.events.request._handlers
    assert not somebody_listens(environment)


def test_a_listener_of_the_scenario_is_somebody(environment: Environment) -> None:
    environment.create_local_runner()
    request: Any = environment.events.request
    listener = request.add_listener(lambda **_: None)
    assert somebody_listens(environment)
    request.remove_listener(listener)
    assert not somebody_listens(environment)


def test_the_internals_that_filling_relies_on_are_there() -> None:
    statistics = RequestStats()
    entry = statistics.entries["/a", "GET"]
    for name in (
        *("num_requests", "num_none_requests", "num_failures", "total_response_time"),
        *("min_response_time", "max_response_time", "num_reqs_per_sec", "num_fail_per_sec"),
        *("response_times", "total_content_length", "start_time", "last_request_timestamp"),
        *("use_response_times_cache", "_cache_response_times"),
    ):
        assert hasattr(entry, name), name
    # What `log` writes: a counter that is new would be missed by filling.
    before = {name: repr(value) for name, value in vars(entry).items()}
    entry.log(1200, 10)
    entry.log_error("x")
    entry.log(None, 10)  # type: ignore[arg-type]
    changed = {name for name, value in vars(entry).items() if repr(value) != before[name]}
    assert changed <= {
        *("num_requests", "num_none_requests", "num_failures", "total_response_time"),
        *("min_response_time", "max_response_time", "num_reqs_per_sec", "num_fail_per_sec"),
        *("response_times", "response_times_cache", "total_content_length"),
        "last_request_timestamp",
    }
    assert locust_stats.bucket_response_time.__module__ == "locust.stats"


def test_a_batch_of_a_busy_tenth_of_a_second_holds_the_interpreter_shortly() -> None:
    # No absolute speed: filling is a part of what an event per request costs, whatever the machine.
    batch = a_batch(9, 3_000, BEGIN_S, 0.1)
    order = [fill_once, fire_each]
    random.Random(1).shuffle(order)
    costs: dict[str, float] = {}
    for way in order:
        costs[way.__name__] = min(way(batch) for _ in range(5))
    assert costs["fill_once"] < costs["fire_each"] / 2


def fill_once(batch: Requests) -> float:
    statistics, began = RequestStats(), time.process_time()
    fill(statistics, batch)
    return time.process_time() - began


def fire_each(batch: Requests) -> float:
    statistics, began = RequestStats(), time.process_time()
    for row in range(len(batch)):
        method, name = batch.kinds[batch.kind[row]]
        statistics.log_request(method, name, 12, 100)
    return time.process_time() - began
