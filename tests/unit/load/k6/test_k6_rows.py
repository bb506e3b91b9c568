from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from surgeproof.load.handover import LoadOrder
from surgeproof.load.k6.options import k6_stages, k6_times
from surgeproof.load.k6.output import K6Request, K6Stream
from surgeproof.load.k6.rows import K6Rows, request_name
from surgeproof.load.recorder import SampleRow
from surgeproof.load.schedule import build_schedule
from surgeproof.model.plan import ArrivalPart, Load

MakeLoad = Callable[..., Load]

T0 = 1767225600.0  # 2026-01-01T00:00:00Z


def point(metric: str, time: str, value: float, arrival: int | None, **tags: str) -> str:
    """Return a line of k6; ``begun`` and metadata that start with ``meta_`` are taken from tags."""
    more = {key[5:]: tags.pop(key) for key in list(tags) if key.startswith("meta_")}
    begun = float(tags.pop("begun", time))
    data: dict[str, object] = {"time": f"2026-01-01T00:00:{time}Z", "value": value, "tags": tags}
    if arrival is not None:
        milliseconds = str(int((T0 + begun) * 1e3))
        data["metadata"] = {"arrival": str(arrival), "begun": milliseconds, **more}
    return json.dumps({"metric": metric, "type": "Point", "data": data})


def request_lines(
    arrival: int, end: str, service_ms: float, status: str = "200", begun: str | None = None
) -> list[str]:
    start = f"{float(end) - service_ms / 1e3:.3f}" if begun is None else begun
    tags = {"name": "GET /a", "method": "GET", "status": status, "begun": start}
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


class Reading:
    """Ten arrivals a second for two seconds, and what k6 said of them."""

    def __init__(self, make_load: MakeLoad) -> None:
        part = ArrivalPart("constant", {"rate": 10})
        load = make_load(("one", 2, [part]), mixes={"default": {"GET /a": 1.0}})
        schedule = build_schedule(load, 1)
        order = LoadOrder(seed=1, base_url="http://x", load=load)
        self.stream = K6Stream()
        self.rows = K6Rows(order, schedule, k6_times(k6_stages(schedule.per_second())), self.stream)

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
        point("surgeproof_outcome", "00.174", 1, 1, outcome="degraded", meta_degraded="feed"),
    )
    (row,) = reading.take()
    assert row.intended_s == pytest.approx(4 / 21)
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
    assert second.intended_s == pytest.approx(6 / 21)
    drops, cut_off = reading.rows.leftovers(0.3)
    assert [drop.intended_s for drop in drops] == pytest.approx([4 / 21])
    assert cut_off == []


def test_arrivals_add_up_also_when_the_run_is_cut_short(reading: Reading) -> None:
    reading.feed(
        *request_lines(0, "00.060000000", 5.0), point("dropped_iterations", "00.150", 1, None)
    )
    sent = reading.take()
    reading.rows.stop(0.52)
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
        point("iterations", "00.062", 1, 0),
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


def test_steps_of_a_session_are_numbered_and_count_from_where_they_began(reading: Reading) -> None:
    reading.feed(
        *request_lines(0, "00.060000000", 5.0),
        *request_lines(0, "00.500000000", 10.0, begun="00.055"),
        point("iterations", "00.501", 1, 0),
    )
    first, second = reading.take()
    assert (first.session, first.step, second.session, second.step) == (0, 1, 0, 2)
    assert first.intended_s == pytest.approx(2 / 21)
    assert second.intended_s == second.start_s == pytest.approx(0.487, abs=1e-6)
    assert reading.rows.counts(0.1).sent == 1


def test_a_failed_check_makes_a_good_answer_wrong_and_no_bad_one(reading: Reading) -> None:
    for arrival, status in enumerate(("200", "500")):
        end = f"00.{arrival + 1}60000000"
        reading.feed(
            *request_lines(arrival, end, 5.0, status),
            point("checks", f"00.{arrival + 1}61", 1, arrival, check="passes"),
            point("checks", f"00.{arrival + 1}61", 0, arrival, check="fails"),
            point("iterations", f"00.{arrival + 1}62", 1, arrival),
        )
    rows = [(row.outcome, row.error_kind) for row in reading.take()]
    assert rows == [("wrong", "check"), ("error", "status_500")]


def test_a_check_judges_the_request_before_it_and_not_the_next(reading: Reading) -> None:
    reading.feed(
        *request_lines(0, "00.060000000", 5.0),
        point("checks", "00.061", 0, 0, check="fails"),
        *request_lines(0, "00.090000000", 5.0, begun="00.055"),
        point("iterations", "00.091", 1, 0),
    )
    assert [row.outcome for row in reading.take()] == ["wrong", "full"]


def test_an_iteration_that_asked_nothing_is_an_error_and_still_an_arrival(reading: Reading) -> None:
    reading.feed(
        point("iteration_duration", "00.080", 20.0, 0, begun="00.060"),
        point("iterations", "00.080", 1, 0, begun="00.060"),
    )
    (row,) = reading.take()
    assert (row.outcome, row.error_kind, row.step, row.name) == ("error", "no_request", 1, "GET /a")
    assert row.start_s == pytest.approx(0.06, abs=1e-6)


def test_writes_become_lines_of_the_ledger_in_their_order(reading: Reading) -> None:
    for second, outcome in (("00.1", "ok"), ("00.2", "info")):
        line = json.dumps(["post", f"k{second}", outcome])
        reading.feed(point("surgeproof_ledger", second, 1, 0, meta_ledger=line))
    writes = reading.rows.writes(T0)
    assert [(row.kind, row.key, row.outcome) for row in writes] == [
        ("post", "k00.1", "ok"),
        ("post", "k00.2", "info"),
    ]
    assert [row.t_s for row in writes] == pytest.approx([0.1, 0.2], abs=1e-6)
    assert reading.rows.writes(T0) == []


def test_what_is_held_does_not_grow_with_the_length_of_a_run(reading: Reading) -> None:
    for arrival in range(20):
        second = f"0{arrival // 10}.{arrival % 10}6"
        reading.feed(*request_lines(arrival, second, 5.0), point("iterations", second, 1, arrival))
    assert reading.stream.pending == 0
    assert len(reading.take(60.0, is_end=False)) == 20
    assert reading.take() == []


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("GET /v1/posts/{id}", "GET /v1/posts/{id}"),
        ("http://x/v1/trending?limit=3", "GET /v1/trending"),
        ("http://x", "GET /"),
        ("/v1/posts/{id}", "GET /v1/posts/{id}"),
        ("the feed", "the feed"),
        ("http://xy/else", "http://xy/else"),
    ],
)
def test_a_request_is_called_by_method_and_template(said: str, key: str) -> None:
    request = K6Request(0, 0.0, said, "GET", 200, 0, 1.0)
    assert request_name(request, "http://x/") == key
