"""Recovery, observation and degradation of faults on runs drawn by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from surgeproof.model.plan import Endpoint, Window
from surgeproof.model.result import FaultRecord
from surgeproof.model.samples import Drops, Samples
from surgeproof.model.words import Tier
from surgeproof.slo.degradation import degradation_table
from surgeproof.slo.observed import observe_faults
from surgeproof.slo.recovery import find_recoveries
from surgeproof.slo.signs import clean_stretches

MakeSamples = Callable[[list[dict[str, Any]]], Samples]
MakeDrops = Callable[[list[dict[str, Any]]], Drops]
MakeRows = Callable[..., list[dict[str, Any]]]
RUN = Window("run", 0.0, 100.0)


def fault(
    name: str = "f", applied: float | None = 30.0, cleared: float | None = 50.0, ok: bool = True
) -> FaultRecord:
    return FaultRecord(name, "down", "edge", 30.0, applied, cleared, ok, None)


@pytest.mark.parametrize(
    ("bad_until", "expected"),
    [
        # A tenth of a window may hold 5 % beyond the p95: with one bad second in ten that is
        # 10 % of its requests, so the window must start when the last bad second has gone.
        pytest.param(50.0, 0.0, id="well at once"),
        pytest.param(53.0, 3.0, id="three bad seconds after the removal"),
        pytest.param(62.0, 12.0, id="twelve"),
    ],
)
def test_time_to_recover(
    samples_of: MakeSamples,
    drops_of: MakeDrops,
    steady_rows: MakeRows,
    bad_until: float,
    expected: float,
) -> None:
    rows = steady_rows(0, 30) + steady_rows(30, bad_until, took=1.0) + steady_rows(bad_until, 100)
    found = find_recoveries(samples_of(rows), drops_of([]), [fault()], run=RUN)["f"]
    assert (found.time_s, found.censored_s) == (expected, None)
    # The gates' window lasts until the recovery was proved, ten seconds of health later.
    assert found.window == Window("recovery:f", 50.0, 50.0 + expected + 10.0)


@pytest.mark.parametrize(
    "sickness",
    [
        pytest.param({"took": 1.0}, id="slow"),
        pytest.param({"outcome": "error"}, id="errors"),
        pytest.param({"outcome": "wrong"}, id="wrong answers"),
        pytest.param({"outcome": "degraded"}, id="degraded answers"),
        pytest.param({"outcome": "shed", "took": 0.001}, id="refusals, however quick"),
        pytest.param({"took": None, "outcome": "error"}, id="no answers"),
    ],
)
def test_what_stays_sick_has_not_recovered(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows, sickness: dict[str, Any]
) -> None:
    rows = steady_rows(0, 30) + steady_rows(30, 100, **sickness)
    found = find_recoveries(samples_of(rows), drops_of([]), [fault()], run=RUN)["f"]
    assert (found.time_s, found.censored_s) == (None, 50.0)
    assert found.window == Window("recovery:f", 50.0, 100.0)


def test_arrivals_dropped_after_the_fault_delay_recovery(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows
) -> None:
    rows = steady_rows(0, 50) + steady_rows(54, 100)
    drops = drops_of([{"at": row["at"]} for row in steady_rows(50, 54)])
    found = find_recoveries(samples_of(rows), drops, [fault()], run=RUN)["f"]
    # One request of a window's hundred is spared: the last of the 40 drops lies at 53.95.
    assert found.time_s == 4.0


def test_one_stray_error_does_not_delay_recovery(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows
) -> None:
    rows = steady_rows(0, 100)
    rows[555]["outcome"] = "error"
    found = find_recoveries(samples_of(rows), drops_of([]), [fault()], run=RUN)["f"]
    assert found.time_s == 0.0


def test_a_recovery_is_watched_until_the_next_fault_only(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows
) -> None:
    rows = steady_rows(0, 30) + steady_rows(30, 60, took=1.0) + steady_rows(60, 100)
    faults = [fault(), fault("next", 58.0, 59.0)]
    found = find_recoveries(samples_of(rows), drops_of([]), faults, run=RUN)["f"]
    assert (found.time_s, found.censored_s) == (None, 8.0)
    assert found.window == Window("recovery:f", 50.0, 58.0)


def test_a_recovery_of_seven_seconds_is_judged_by_a_shorter_window(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows
) -> None:
    faults = [fault(), fault("next", 57.0, 59.0)]
    found = find_recoveries(samples_of(steady_rows(0, 100)), drops_of([]), faults, run=RUN)["f"]
    assert (found.time_s, found.window.end_s) == (0.0, 57.0)


def test_a_recovery_of_four_seconds_is_censored(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows
) -> None:
    faults = [fault(), fault("next", 54.0, 59.0)]
    found = find_recoveries(samples_of(steady_rows(0, 100)), drops_of([]), faults, run=RUN)["f"]
    assert (found.time_s, found.censored_s) == (None, 4.0)


def test_recovery_without_requests_is_no_recovery(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows
) -> None:
    found = find_recoveries(samples_of(steady_rows(0, 50)), drops_of([]), [fault()], run=RUN)["f"]
    assert (found.time_s, found.censored_s) == (None, 50.0)


@pytest.mark.parametrize(
    "record",
    [fault(applied=None, cleared=None), fault(cleared=None), fault(ok=False)],
    ids=["never applied", "never cleared", "removal not verified"],
)
def test_a_fault_that_was_not_verifiably_removed_has_no_recovery(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows, record: FaultRecord
) -> None:
    assert not find_recoveries(samples_of(steady_rows(0, 100)), drops_of([]), [record], run=RUN)


def test_a_slow_warm_up_is_no_baseline(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows
) -> None:
    # Slow in the warm-up, quick after it, and slow again after the fault.
    rows = steady_rows(0, 20, took=1.0) + steady_rows(20, 30) + steady_rows(30, 100, took=1.0)
    samples = samples_of(rows)
    found = find_recoveries(samples, drops_of([]), [fault()], run=RUN, warm_up_end_s=20.0)["f"]
    assert found.time_s is None
    assert find_recoveries(samples, drops_of([]), [fault()], run=RUN)["f"].time_s == 0.0


def test_an_earlier_fault_is_no_baseline(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows
) -> None:
    rows = steady_rows(0, 5) + steady_rows(5, 15, took=1.0) + steady_rows(15, 30)
    rows += steady_rows(30, 100, took=1.0)
    faults = [fault("first", 5.0, 15.0), fault()]
    assert find_recoveries(samples_of(rows), drops_of([]), faults, run=RUN)["f"].time_s is None


@pytest.mark.parametrize(
    ("busy", "longest", "expected"),
    [
        ([], 100.0, [(0.0, 50.0)]),
        ([], 20.0, [(30.0, 50.0)]),
        ([(10.0, 20.0)], 100.0, [(0.0, 10.0), (20.0, 50.0)]),
        ([(10.0, 20.0)], 35.0, [(5.0, 10.0), (20.0, 50.0)]),
        ([(0.0, 20.0), (15.0, 60.0)], 100.0, []),
        ([(60.0, 70.0)], 100.0, [(0.0, 50.0)]),
    ],
    ids=["all", "the latest", "around a gap", "latest around a gap", "none", "busy afterwards"],
)
def test_clean_stretches(
    busy: list[tuple[float, float]], longest: float, expected: list[tuple[float, float]]
) -> None:
    windows = [Window("busy", *edges) for edges in busy]
    found = clean_stretches(0.0, 50.0, windows, longest)
    assert [(window.start_s, window.end_s) for window in found] == expected


@pytest.mark.parametrize(
    ("effect", "observed"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"took": 0.12}, False, id="a fifth slower is noise"),
        pytest.param({"took": 0.2}, True, id="twice as slow"),
        pytest.param({"outcome": "error"}, True, id="errors"),
        pytest.param({"outcome": "shed"}, True, id="refusals"),
        pytest.param({"outcome": "degraded"}, True, id="degraded"),
    ],
)
def test_a_fault_is_observed_by_a_clear_change_of_one_endpoint(
    samples_of: MakeSamples,
    drops_of: MakeDrops,
    steady_rows: MakeRows,
    effect: dict[str, Any],
    observed: bool,
) -> None:
    rows = steady_rows(0, 30) + steady_rows(30, 50, **effect) + steady_rows(50, 100)
    rows += steady_rows(0, 100, name="GET /other")
    (record,) = observe_faults(samples_of(rows), drops_of([]), [fault()], run=RUN)
    assert record.observed is observed


def test_the_dependency_s_own_witness_overrides_the_front(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows
) -> None:
    samples, drops = samples_of(steady_rows(0, 100)), drops_of([])
    faults = [fault("seen", 30.0, 40.0), fault("unseen", 50.0, 60.0), fault("silent", 70.0, 80.0)]
    records = observe_faults(
        samples,
        drops,
        faults,
        run=RUN,
        observations={"seen": True, "unseen": False, "silent": None},
    )
    assert [record.observed for record in records] == [True, False, False]


def test_without_requests_nobody_can_say_whether_a_fault_was_observed(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows
) -> None:
    rows = steady_rows(0, 30) + steady_rows(50, 100)
    (record,) = observe_faults(samples_of(rows), drops_of([]), [fault()], run=RUN)
    assert record.observed is None


def test_degradation_table_has_before_during_and_after(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows
) -> None:
    rows = steady_rows(0, 30) + steady_rows(30, 50, took=0.5, outcome="degraded")
    rows += steady_rows(50, 100)
    samples, drops = samples_of(rows), drops_of([{"at": 40.0}])
    recoveries = find_recoveries(samples, drops, [fault()], run=RUN)
    endpoints = [Endpoint("GET /v1/feed/home", Tier.T0, 1.0)]
    (cell,) = degradation_table(samples, drops, endpoints, [fault()], recoveries, run=RUN)
    assert cell.before is not None
    assert cell.during is not None
    assert cell.after is not None
    assert (cell.before.n, cell.during.n, cell.after.n) == (300, 201, 100)
    assert cell.during.degraded_ratio == pytest.approx(200 / 201)
    assert cell.during.error_ratio == pytest.approx(1 / 201)
    assert cell.p99_change_s == pytest.approx(0.4)
    assert cell.to_json()["tier"] == "T0"


def test_degradation_by_a_fault_that_never_was_is_unknown(
    samples_of: MakeSamples, drops_of: MakeDrops, steady_rows: MakeRows
) -> None:
    (cell,) = degradation_table(
        samples_of(steady_rows(0, 100)),
        drops_of([]),
        [Endpoint("GET /v1/feed/home", Tier.T0, 1.0)],
        [fault(applied=None, cleared=None)],
        {},
        run=RUN,
    )
    assert (cell.before, cell.during, cell.after, cell.p99_change_s) == (None, None, None, None)
