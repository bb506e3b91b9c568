"""Gates judged on runs small enough to count by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surgeproof.model.plan import Selector, Window
from surgeproof.model.result import GateResult, LedgerCounts, RecoveryResult
from surgeproof.model.words import Status
from surgeproof.slo.gates import implicit_gates, judge
from surgeproof.slo.measure import series_of
from surgeproof.slo.notation import parse_gate
from surgeproof.slo.run_data import RunData

FEED, POST = "GET /v1/feed/home", "POST /v1/posts"
MakeRun = Callable[..., RunData]
MakeRows = Callable[..., list[dict[str, Any]]]


def judged(text: str, data: RunData) -> GateResult:
    (result,) = judge(parse_gate(text, id="g"), data)
    return result


def test_quantile_below_its_limit_passes(run_of: MakeRun, steady_rows: MakeRows) -> None:
    result = judged("http.response_time: p99 < 200ms", run_of(steady_rows(0, 100, took=0.1)))
    assert (result.status, result.n) == (Status.PASS, 1000)
    assert result.value == pytest.approx(0.1)


def test_a_value_exactly_at_the_limit_breaches_a_strict_gate(run_of: MakeRun) -> None:
    rows = [{"at": 0.0, "took": 0.25}] * 100
    data = run_of(rows)
    assert judged("http.response_time: p95 < 250ms", data).status is Status.FAIL
    assert judged("http.response_time: p95 <= 250ms", data).status is Status.PASS


def test_a_fault_that_the_whole_run_hides_is_seen_in_its_window(
    run_of: MakeRun, steady_rows: MakeRows
) -> None:
    rows = steady_rows(0, 20) + steady_rows(20, 24, rate=20, took=1.0) + steady_rows(24, 100, 30)
    data = run_of(rows, faults={"redis": Window("fault:redis", 20.0, 24.0)})
    assert judged("http.response_time: p95 < 400ms", data).status is Status.PASS
    result = judged("http.response_time: p95 < 400ms during fault:redis", data)
    assert (result.status, result.n, result.first_breach_s) == (Status.FAIL, 80, 20.0)
    assert "was 1s, limit < 400ms; n = 80; fault:redis 20.0s to 24.0s" in result.message
    assert "first breached at 20.0s" in result.message


def test_a_sample_belongs_to_the_window_of_its_intended_start(run_of: MakeRun) -> None:
    # Intended within the fault, sent and answered after it.
    rows = [{"at": 19.99, "lag": 3.0, "took": 5.0}] * 60 + [{"at": 20.0, "took": 0.1}] * 60
    data = run_of(rows, faults={"f": Window("fault:f", 10.0, 20.0)})
    result = judged("http.response_time: p95 < 1s during fault:f", data)
    assert (result.n, result.status) == (60, Status.FAIL)
    assert result.value == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("n", "status"),
    [(58, Status.INCONCLUSIVE), (59, Status.PASS), (0, Status.NO_DATA)],
    ids=["one short of the minimum", "the minimum", "nothing at all"],
)
def test_quantile_of_too_few_samples_is_no_pass(run_of: MakeRun, n: int, status: Status) -> None:
    result = judged("http.response_time: p95 < 1s", run_of([{"at": 1.0}] * n))
    assert (result.status, result.n) == (status, n)


def test_an_attempt_that_never_ended_is_slower_than_any_limit(run_of: MakeRun) -> None:
    rows = [{"at": 1.0}] * 98 + [{"at": 1.0, "took": None, "outcome": "error"}] * 6
    result = judged("http.response_time: p95 < 1h", run_of(rows))
    assert (result.status, result.value) == (Status.FAIL, None)
    assert "never ended" in result.message


def test_quick_refusals_do_not_make_response_times_look_good(run_of: MakeRun) -> None:
    rows: list[dict[str, Any]] = [{"at": 1.0, "took": 2.0}] * 60
    rows += [{"at": 1.0, "took": 0.001, "outcome": "shed"}] * 6000
    data = run_of(rows)
    assert judged("http.response_time: p95 < 1s", data).status is Status.FAIL
    shed = judged("http.response_time{outcome=shed}: p95 < 5ms", data)
    assert (shed.status, shed.n) == (Status.PASS, 6000)


@pytest.mark.parametrize(
    ("text", "value", "n"),
    [
        # 10 rows: 5 full, 2 degraded, 1 shed, 1 error, 1 wrong; and 2 drops.
        pytest.param("http.errors: rate < 100%", 3 / 12, 12, id="an error and two drops of 12"),
        pytest.param("http.wrong: rate < 100%", 3 / 12, 12, id="wrong answers likewise"),
        pytest.param("http.shed: rate < 100%", 3 / 12, 12, id="shed answers likewise"),
        pytest.param("http.degraded: rate < 100%", 4 / 12, 12, id="degraded answers likewise"),
        pytest.param("yield: rate > 0%", 7 / 12, 12, id="seven answered of twelve offered"),
        pytest.param("arrivals.dropped: rate < 100%", 2 / 12, 12, id="two dropped of twelve"),
        pytest.param("arrivals.dropped: count < 9", 2, 12, id="counted drops"),
        pytest.param("http.errors: count < 9", 1, 12, id="a drop is no error where errors count"),
        pytest.param("http.wrong: count < 9", 1, 12, id="one wrong answer"),
        pytest.param("http.throughput: rate > 0/s", 0.1, 10, id="ten answers in 100 s"),
        pytest.param("goodput: rate > 0/s", 0.07, 10, id="seven good ones in 100 s"),
        pytest.param("http.response_time: count > 0", 9, 9, id="shed answers are not timed"),
        pytest.param("http.response_time: mean < 1s", 0.1, 9, id="the mean"),
        pytest.param("http.response_time: max < 1s", 0.1, 9, id="the largest"),
    ],
)
def test_share_counts_drops_as_bad(run_of: MakeRun, text: str, value: float, n: int) -> None:
    outcomes = ["full"] * 5 + ["degraded"] * 2 + ["shed", "error", "wrong"]
    rows = [{"at": float(at), "outcome": word} for at, word in enumerate(outcomes)]
    result = judged(text, run_of(rows, [{"at": 50.0}, {"at": 60.0}]))
    assert result.value == pytest.approx(value)
    assert (result.n, result.status) == (n, Status.PASS)


def test_a_retry_is_no_new_intent_of_the_yield(run_of: MakeRun) -> None:
    rows = [
        {"at": 1.0, "outcome": "error"},
        {"at": 1.0, "outcome": "full", "attempt": 2},
        {"at": 2.0, "outcome": "full"},
    ]
    assert judged("yield: rate >= 100%", run_of(rows)).value == 1.0


def test_an_answer_after_its_deadline_is_no_goodput(run_of: MakeRun) -> None:
    rows = [{"at": 1.0, "took": 1.0}, {"at": 2.0, "took": 1.1}]
    assert judged("goodput: count > 0", run_of(rows)).value == 1.0


def test_lag_is_that_of_arrivals_and_not_of_later_steps(run_of: MakeRun) -> None:
    rows = [{"at": 1.0, "lag": 0.01}, {"at": 1.0, "lag": 5.0, "step": 2}]
    assert judged("arrivals.lag: max < 1s", run_of(rows)).value == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("selector", "n"),
    [
        ("", 6),
        (f'{{name="{POST}"}}', 2),
        ('{route="/v1/feed/home"}', 3),
        ("{route:/v1/posts}", 3),
        ("{method=POST}", 2),
        ("{tier=T1}", 3),
        ('{tier=T1, route="/v1/posts"}', 3),
        ("{phase=warmup}", 1),
    ],
    ids=["all", "name", "route", "route over methods", "method", "tier", "two labels", "phase"],
)
def test_labels_select(run_of: MakeRun, selector: str, n: int) -> None:
    rows = [{"at": 1.0, "phase": "warmup"}, {"at": 11.0}]
    rows += [{"at": 12.0, "name": POST, "tier": "T1"}] * 2
    rows += [{"at": 13.0, "name": "GET /v1/posts", "tier": "T1"}]
    result = judged(f"http.errors{selector}: rate < 100%", run_of(rows, [{"at": 14.0}]))
    assert result.n == n


def test_a_selector_that_matches_nothing_is_no_data(run_of: MakeRun) -> None:
    result = judged("http.wrong{tier=T3}: count == 0", run_of([{"at": 1.0}]))
    assert (result.status, result.value) == (Status.NO_DATA, None)
    assert 'nothing was measured for http.wrong{tier="T3"}' in result.message


def test_a_fault_that_never_was_gives_no_data(run_of: MakeRun) -> None:
    result = judged("http.errors: rate < 1% during fault:gone", run_of([{"at": 1.0}]))
    assert (result.status, result.window) == (Status.NO_DATA, None)
    assert "the run had no fault:gone" in result.message


def test_rolling_window_finds_what_the_average_hides(
    run_of: MakeRun, steady_rows: MakeRows
) -> None:
    rows = steady_rows(0, 40) + steady_rows(40, 45, outcome="error") + steady_rows(45, 100)
    data = run_of(rows)
    assert judged("http.errors: rate < 10%", data).value == pytest.approx(0.05)
    result = judged("http.errors: rate < 40% over 10s", data)
    # Every 10 s that hold the five bad ones whole are half errors: from 35 s to 40 s on.
    assert (result.status, result.n) == (Status.FAIL, 100)
    assert result.value == pytest.approx(0.5)
    # The first to reach 40 % starts at 34 s and holds 40 s to 44 s.
    assert result.first_breach_s == 34.0
    assert result.window == Window("run", 35.0, 45.0)


def test_rolling_window_longer_than_its_span_is_inconclusive(run_of: MakeRun) -> None:
    data = run_of([{"at": 1.0}], faults={"f": Window("fault:f", 1.0, 5.0)})
    result = judged("http.errors: rate < 1% during fault:f over 10s", data)
    assert result.status is Status.INCONCLUSIVE


def test_rolling_quantile_with_a_thin_window_is_inconclusive(
    run_of: MakeRun, steady_rows: MakeRows
) -> None:
    rows = steady_rows(0, 50, rate=10) + steady_rows(50, 100, rate=1)
    result = judged("http.response_time: p95 < 1s over 10s", run_of(rows))
    assert result.status is Status.INCONCLUSIVE
    assert "too few samples" in result.message


@pytest.mark.parametrize(
    ("bad_seconds", "status", "first"),
    [
        ((20, 21, 22), Status.FAIL, 20.0),
        ((20, 21, 23, 24), Status.PASS, None),
        ((), Status.PASS, None),
        ((97, 98, 99), Status.FAIL, 97.0),
    ],
    ids=["three in a row", "twice two", "none", "the last three"],
)
def test_for_breaches_only_in_every_second_of_a_row(
    run_of: MakeRun,
    steady_rows: MakeRows,
    bad_seconds: tuple[int, ...],
    status: Status,
    first: float | None,
) -> None:
    rows = []
    for second in range(100):
        rows += steady_rows(second, second + 1, took=2.0 if second in bad_seconds else 0.1)
    result = judged("http.response_time: p95 < 1s for 3s", run_of(rows))
    assert (result.status, result.first_breach_s) == (status, first)


def test_silence_is_a_throughput_of_zero(run_of: MakeRun, steady_rows: MakeRows) -> None:
    result = judged("http.throughput: rate > 5/s for 10s", run_of(steady_rows(0, 80)))
    assert (result.status, result.first_breach_s) == (Status.FAIL, 80.0)


def test_each_name_gives_one_result_and_shows_the_endpoint_never_called(run_of: MakeRun) -> None:
    results = judge(parse_gate("http.errors: rate < 1% each name", id="g"), run_of([{"at": 1.0}]))
    assert [(r.label, r.status) for r in results] == [
        (FEED, Status.PASS),
        (POST, Status.NO_DATA),
    ]


def test_each_phase_is_judged_by_itself(run_of: MakeRun) -> None:
    rows = [{"at": 1.0, "phase": "warmup", "outcome": "error"}, {"at": 20.0}]
    results = judge(parse_gate("http.errors: rate < 1% each phase", id="g"), run_of(rows))
    assert [(r.label, r.status) for r in results] == [
        ("warmup", Status.FAIL),
        ("surge", Status.PASS),
    ]


def recovery(fault: str, time_s: float | None, censored_s: float | None = None) -> RecoveryResult:
    return RecoveryResult(fault, time_s, censored_s, Window(f"recovery:{fault}", 40.0, 60.0))


@pytest.mark.parametrize(
    ("found", "text", "status"),
    [
        pytest.param([recovery("a", 5.0)], "max < 10s", Status.PASS, id="in time"),
        pytest.param([recovery("a", 10.0)], "max < 10s", Status.FAIL, id="at the limit"),
        pytest.param(
            [recovery("a", 1.0), recovery("b", 11.0)], "max < 10s", Status.FAIL, id="worst"
        ),
        pytest.param(
            [recovery("a", None, 12.0)],
            "max < 10s",
            Status.FAIL,
            id="watched longer than the limit",
        ),
        pytest.param(
            [recovery("a", None, 8.0)],
            "max < 10s",
            Status.INCONCLUSIVE,
            id="not watched long enough",
        ),
        pytest.param(
            [recovery("a", 9.0), recovery("b", None, 8.0)],
            "max < 10s",
            Status.INCONCLUSIVE,
            id="one recovered, one unknown",
        ),
        pytest.param([], "max < 10s", Status.NO_DATA, id="no fault at all"),
    ],
)
def test_recovery_time(
    run_of: MakeRun, found: list[RecoveryResult], text: str, status: Status
) -> None:
    data = run_of([{"at": 1.0}], recoveries={each.fault: each for each in found})
    assert judged(f"recovery.time: {text}", data).status is status


def test_recovery_window_is_what_during_recovery_means(run_of: MakeRun) -> None:
    rows = [{"at": 45.0, "outcome": "error"}, {"at": 70.0}]
    data = run_of(rows, recoveries={"a": recovery("a", 5.0)})
    result = judged("http.errors: rate < 100% during recovery:a", data)
    assert (result.n, result.value) == (1, 1.0)


def counts(acked: int = 9, lost: int = 0, doubled: int = 0, unread: int = 0) -> LedgerCounts:
    return LedgerCounts(acked, acked - lost, lost, 0, doubled, 0, 0, unread, ("k1",) * lost)


@pytest.mark.parametrize(
    ("ledger", "statuses"),
    [
        pytest.param(counts(), (Status.PASS, Status.PASS), id="all there, once"),
        pytest.param(counts(lost=1), (Status.FAIL, Status.PASS), id="one lost"),
        pytest.param(counts(doubled=1), (Status.PASS, Status.FAIL), id="one twice"),
        pytest.param(
            counts(acked=0), (Status.INCONCLUSIVE, Status.INCONCLUSIVE), id="nothing acknowledged"
        ),
        pytest.param(
            counts(unread=1), (Status.INCONCLUSIVE, Status.INCONCLUSIVE), id="one not read back"
        ),
        pytest.param(
            counts(lost=1, unread=1), (Status.FAIL, Status.INCONCLUSIVE), id="lost beats unread"
        ),
    ],
)
def test_implicit_gates_of_the_ledger(
    run_of: MakeRun, ledger: LedgerCounts, statuses: tuple[Status, Status]
) -> None:
    data = run_of([{"at": 1.0}], ledger={"post": ledger})
    gates = implicit_gates(("post",))
    assert [gate.expression for gate in gates] == [
        'ledger.lost{kind="post"}: count == 0',
        'ledger.duplicated{kind="post"}: count == 0',
    ]
    assert tuple(result.status for gate in gates for result in judge(gate, data)) == statuses


def test_a_kind_that_was_never_counted_is_no_pass(run_of: MakeRun) -> None:
    result = judged("ledger.lost{kind=like}: count == 0", run_of([{"at": 1.0}]))
    assert result.status is Status.INCONCLUSIVE


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.floats(0, 99.999), st.sampled_from(["full", "error", "shed", "wrong"])),
        max_size=60,
    ),
    st.lists(st.floats(0, 99.999), max_size=10),
)
def test_the_sum_of_all_windows_is_the_whole(
    run_of: MakeRun, rows: list[tuple[float, str]], drops: list[float]
) -> None:
    data = run_of(
        [{"at": at, "outcome": outcome} for at, outcome in rows], [{"at": at} for at in drops]
    )
    series = series_of(Selector("http.errors", {}), "rate", data)
    seconds = [series.measure(float(second), second + 1.0) for second in range(100)]
    whole = series.measure(0.0, 100.0)
    assert sum(part.n for part in seconds) == whole.n == len(rows) + len(drops)
    bad = sum((part.value or 0.0) * part.n for part in seconds)
    assert bad == pytest.approx((whole.value or 0.0) * whole.n)
