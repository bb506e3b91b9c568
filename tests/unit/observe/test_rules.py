from __future__ import annotations

import pytest

from surgeproof.observe.rules import (
    BURN_WINDOWS,
    OBJECTIVES,
    BurnWindow,
    prometheus_duration,
    rules_document,
)


@pytest.mark.parametrize(
    ("row", "threshold", "short"),
    [
        pytest.param(BURN_WINDOWS[0], 14.4, "5m", id="2 % in an hour"),
        pytest.param(BURN_WINDOWS[1], 6.0, "30m", id="5 % in six hours"),
        pytest.param(BURN_WINDOWS[2], 3.0, "2h", id="10 % in a day"),
        pytest.param(BURN_WINDOWS[3], 1.0, "6h", id="10 % in three days"),
    ],
)
def test_thresholds_are_the_workbooks_own(row: BurnWindow, threshold: float, short: str) -> None:
    assert row.threshold == pytest.approx(threshold)
    assert prometheus_duration(row.short_s) == short


def test_no_alert_has_a_limit_that_no_ratio_can_exceed() -> None:
    worst = max(row.threshold for row in BURN_WINDOWS)
    assert all(worst * objective.budget < 1 for objective in OBJECTIVES)


def test_every_alert_reads_only_series_that_are_recorded() -> None:
    groups = rules_document()["groups"]
    assert isinstance(groups, list)
    recording, alerts = (group["rules"] for group in groups)
    recorded = {(rule["record"], rule["labels"]["slo"]) for rule in recording}
    assert len(alerts) == len(OBJECTIVES) * len(BURN_WINDOWS)
    for alert in alerts:
        for side in alert["expr"].split(" and "):
            name, _, rest = side.partition('{slo="')
            assert (name, rest.partition('"')[0]) in recorded


@pytest.mark.parametrize(
    ("seconds", "text"), [(300, "5m"), (7200, "2h"), (259200, "3d"), (45, "45s"), (90, "90s")]
)
def test_durations_are_written_as_prometheus_reads_them(seconds: int, text: str) -> None:
    assert prometheus_duration(seconds) == text
