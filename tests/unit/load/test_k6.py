from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.load.handover import LoadOrder
from surgeproof.load.k6_output import K6Stream
from surgeproof.load.k6_plan import k6_options, k6_times
from surgeproof.load.k6_rows import K6Rows
from surgeproof.load.recorder import SampleRow
from surgeproof.load.schedule import build_schedule
from surgeproof.model.plan import ArrivalPart, Load

MakeLoad = Callable[..., Load]

counts = st.lists(st.integers(0, 200), min_size=1, max_size=30).filter(any)


@given(counts)
def test_k6_times_hold_the_count_of_every_second(per_second: list[int]) -> None:
    times = k6_times(per_second)
    assert np.all(np.diff(times) > 0)
    assert np.bincount(times.astype(int), minlength=len(per_second)).tolist() == per_second


@given(counts)
def test_the_stages_reach_each_whole_count_where_the_times_say(per_second: list[int]) -> None:
    options = k6_options(per_second, graceful_stop_s=10)
    (surge,) = options["scenarios"].values()  # type: ignore[attr-defined]
    assert surge["timeUnit"] == "2s"
    # Every second stage is a jump; the integral of the rate is what k6 counts its iterations by.
    rates = [stage["target"] / 2 for stage in surge["stages"] if stage["duration"] == "1s"]
    assert len(rates) == len(per_second)
    reached = np.concatenate([[0.0], np.cumsum(rates)])
    assert math.floor(reached[-1]) == sum(per_second)
    seconds = np.arange(len(rates) + 1, dtype=float)
    wanted = np.arange(1, sum(per_second) + 1, dtype=float)
    starts = np.interp(wanted, reached, seconds)
    # The first second carries the half arrival, so its steps are a little narrower.
    first = per_second[0]
    np.testing.assert_allclose(starts[first:], k6_times(per_second)[first:], atol=1e-9)
    assert np.all(starts[:first] < 1)


def point(metric: str, time: str, value: float, arrival: int | None, **tags: str) -> str:
    data: dict[str, object] = {"time": f"2026-01-01T00:00:{time}Z", "value": value, "tags": tags}
    if arrival is not None:
        data["metadata"] = {"arrival": str(arrival)}
    return json.dumps({"metric": metric, "type": "Point", "data": data})


def request_lines(arrival: int, end: str, service_ms: float, status: str = "200") -> list[str]:
    tags = {"name": "GET /a", "method": "GET", "status": status}
    parts = {
        "http_req_duration": service_ms,
        "http_req_blocked": 1.0,
        "http_req_connecting": 2.0,
        "http_req_tls_handshaking": 0.0,
        "http_req_sending": 0.1,
        "http_req_waiting": service_ms - 0.4,
        "http_req_receiving": 0.3,
        "http_req_failed": 0.0,
    }
    lines = [point("http_reqs", end, 1, arrival, **tags)]
    return lines + [point(name, end, value, arrival, **tags) for name, value in parts.items()]


T0 = 1767225600.0  # 2026-01-01T00:00:00Z


class Reading:
    """Ten arrivals a second for two seconds, and what k6 said of them."""

    def __init__(self, make_load: MakeLoad) -> None:
        part = ArrivalPart("constant", {"rate": 10})
        load = make_load(("one", 2, [part]), mixes={"default": {"GET /a": 1.0}})
        schedule = build_schedule(load, 1)
        order = LoadOrder(seed=1, base_url="http://x", load=load)
        self.stream = K6Stream()
        self.rows = K6Rows(order, schedule, k6_times(schedule.per_second()), self.stream)

    def feed(self, *lines: str) -> None:
        for line in lines:
            self.stream.feed(line)

    def take(self, now_s: float = 60.0, *, is_end: bool = True) -> list[SampleRow]:
        if is_end:
            self.stream.end()
        return self.rows.take(T0, now_s, is_end=is_end)


@pytest.fixture
def reading(make_load: MakeLoad) -> Reading:
    return Reading(make_load)


def test_a_request_becomes_a_sample_timed_from_its_place_in_the_schedule(reading: Reading) -> None:
    reading.feed(
        *request_lines(1, "00.173000000", 20.0),
        point("surgeproof_outcome", "00.174", 1, 1, outcome="degraded", degraded="feed"),
    )
    (row,) = reading.take()
    assert row.intended_s == pytest.approx(0.15)
    assert row.start_s == pytest.approx(0.150, abs=1e-6)
    assert row.end_s == pytest.approx(0.173, abs=1e-6)
    assert row.first_byte_s == pytest.approx(0.1727, abs=1e-6)
    assert (row.outcome, row.degraded, row.status, row.session) == ("degraded", "feed", 200, 1)
    assert (row.sent_bytes, row.received_bytes) == (None, None)


def test_iterations_after_a_drop_keep_their_place_in_the_schedule(reading: Reading) -> None:
    reading.feed(
        *request_lines(0, "00.060000000", 5.0),
        point("dropped_iterations", "00.150", 1, None),
        *request_lines(1, "00.260000000", 5.0),
    )
    first, second = reading.take()
    assert (first.session, second.session) == (0, 2)
    assert second.intended_s == pytest.approx(0.25)
    drops, cut_off = reading.rows.leftovers(0.26)
    assert [drop.intended_s for drop in drops] == pytest.approx([0.15])
    assert cut_off == []


def test_arrivals_add_up_also_when_the_run_is_cut_short(reading: Reading) -> None:
    reading.feed(
        *request_lines(0, "00.060000000", 5.0), point("dropped_iterations", "00.150", 1, None)
    )
    sent = reading.take()
    reading.rows.stop(0.5)
    drops, cut_off = reading.rows.leftovers(3.0)
    assert (len(sent), len(drops), len(cut_off)) == (1, 1, 3)
    assert {row.error_kind for row in cut_off} == {"unfinished"}
    assert {row.end_s for row in cut_off} == {None}
    totals = reading.rows.counts(3.0)
    assert totals.scheduled == totals.sent + totals.dropped == 5


def test_a_request_waits_until_the_drops_before_it_must_be_known(reading: Reading) -> None:
    reading.feed(
        *request_lines(0, "00.060000000", 5.0),
        point("surgeproof_outcome", "00.061", 1, 0, outcome="full"),
    )
    assert reading.take(1.0, is_end=False) == []
    assert reading.rows.counts(1.0).sent == 1
    assert len(reading.take(2.0, is_end=False)) == 1


@pytest.mark.parametrize(
    ("status", "code", "outcome", "kind"),
    [
        ("0", "1050", "error", "timeout"),
        ("0", "1212", "error", "refused"),
        ("0", "1101", "error", "dns"),
        ("0", "1310", "error", "tls"),
        ("503", "1503", "error", "status_503"),
        ("304", "0", "full", ""),
    ],
)
def test_an_answer_that_the_script_did_not_judge_is_judged_by_its_status(
    reading: Reading, status: str, code: str, outcome: str, kind: str
) -> None:
    lines = request_lines(0, "00.060000000", 5.0, status)
    reading.feed(*(line.replace('"status"', f'"error_code": "{code}", "status"') for line in lines))
    (row,) = reading.take()
    assert (row.outcome, row.error_kind) == (outcome, kind)


def test_the_preparations_requests_and_broken_lines_are_passed_over(reading: Reading) -> None:
    prepared = [line.replace('"metadata"', '"other"') for line in request_lines(0, "00.06", 5.0)]
    reading.feed(*prepared, '{"metric": "http_reqs", "ty', '{"type": "Metric", "data": {}}')
    assert reading.take() == []
