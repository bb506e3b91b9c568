"""The rules as promtool sees them: valid, and firing when the budget burns too fast."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from surgeproof.observe.prometheus_server import write_targets

pytestmark = [pytest.mark.integration, pytest.mark.prometheus]

_DASHBOARDS = Path(__file__).parents[3] / "dashboards"
_DEADLINE_S = 120
# One sample and one evaluation a minute would take long over three days; the longest window that
# these cases tell apart is one day, so a day of calm comes before the trouble.
_CALM_MIN = 24 * 60
_PER_MIN = 1000


def _run(promtool: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        [promtool, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _test_rules(promtool: Path, folder: Path, case: Mapping[str, object]) -> None:
    document = {
        "rule_files": [str(_DASHBOARDS / "rules.yml")],
        "evaluation_interval": "10m",
        # In any other order the alerts would look for ratios recorded ten minutes before, which
        # are stale by then; a real server evaluates each group every 15 s.
        "group_eval_order": ["surgeproof-error-ratios", "surgeproof-burn-rates"],
        "tests": [case],
    }
    path = folder / "test.yml"
    path.write_text(yaml.safe_dump(document))
    _run(promtool, "test", "rules", path)


def test_promtool_accepts_the_committed_rules(promtool: Path) -> None:
    assert "SUCCESS" in _run(promtool, "check", "rules", _DASHBOARDS / "rules.yml")


def test_promtool_accepts_the_scrape_config_with_a_runs_targets(
    promtool: Path, tmp_path: Path
) -> None:
    for name in ("prometheus.yml", "rules.yml"):
        (tmp_path / name).write_text((_DASHBOARDS / name).read_text())
    write_targets(tmp_path, {"gateway": "http://127.0.0.1:8001/metrics"})
    said = _run(promtool, "check", "config", tmp_path / "prometheus.yml")
    assert "SUCCESS" in said
    assert "WARNING" not in said


def _counter(calm_per_min: int, *parts: tuple[int, int]) -> str:
    """Return promtool's notation of a counter: a calm day, then (minutes, per minute) parts."""
    total = calm_per_min * _CALM_MIN
    notation = f"0+{calm_per_min}x{_CALM_MIN}"
    for minutes, per_min in parts:
        notation += f" {total + per_min}+{per_min}x{minutes - 1}"
        total += per_min * minutes
    return notation


def _requests(errors: tuple[tuple[int, float], ...], tier: str = "T0") -> dict[str, str]:
    """Return series of the entry with (minutes, error ratio) parts after a day without errors."""
    head = f'app_http_requests_total{{service="gateway",tier="{tier}"'
    bad = tuple((minutes, round(ratio * _PER_MIN)) for minutes, ratio in errors)
    good = tuple((minutes, _PER_MIN - count) for minutes, count in bad)
    return {
        f'{head},code="200"}}': _counter(_PER_MIN, *good),
        f'{head},code="503"}}': _counter(0, *bad),
    }


def _feeds(minutes: int, slow_ratio: float) -> dict[str, str]:
    head = "app_http_request_duration_seconds"
    labels = 'service="gateway",tier="T0",route="/v1/feed/home"'
    fast = round((1 - slow_ratio) * _PER_MIN)
    return {
        f'{head}_bucket{{{labels},le="0.1"}}': _counter(_PER_MIN, (minutes, fast)),
        f"{head}_count{{{labels}}}": _counter(_PER_MIN, (minutes, _PER_MIN)),
    }


@pytest.mark.parametrize(
    ("series", "minutes", "firing"),
    [
        # Burn rates against 0.1 %: 20 over 1 h, 20/6 = 3.3 over 6 h, 20/24 = 0.8 over a day; the
        # three days hold 25 h of data here, 20/25 = 0.8.
        pytest.param(
            _requests(((60, 0.02),)), 60, {("t0-availability", "1h")}, id="a fast burn for an hour"
        ),
        # 7 over 1 h and 6 h, 7/4 = 1.75 over a day; 42/30 = 1.4 over what the three days hold.
        pytest.param(
            _requests(((360, 0.007),)),
            360,
            {("t0-availability", "6h"), ("t0-availability", "3d")},
            id="a slow burn for six hours",
        ),
        pytest.param(
            _requests(((60, 0.02), (10, 0.0))), 70, set(), id="ten minutes after the errors ended"
        ),
        pytest.param(_requests(((60, 0.0005),)), 60, set(), id="within the budget"),
        pytest.param(
            # 2 % burn T1's budget of 0.5 % four times too fast: no page within an hour.
            _requests(((60, 0.02),), tier="T1"),
            60,
            set(),
            id="the same errors on a tier with a larger budget",
        ),
        pytest.param(
            # 80 % too slow burn a budget of 5 % sixteen times too fast.
            _feeds(60, 0.8),
            60,
            {("feed-latency", "1h")},
            id="most feeds too slow for an hour",
        ),
        pytest.param({}, 60, set(), id="no traffic at all"),
    ],
)
def test_an_alert_fires_when_the_budget_burns_too_fast_over_both_windows(
    promtool: Path,
    tmp_path: Path,
    series: Mapping[str, str],
    minutes: int,
    firing: set[tuple[str, str]],
) -> None:
    expected = [
        {"labels": f'{{slo="{slo}", long_window="{window}"}}', "value": 1}
        for slo, window in sorted(firing)
    ]
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (slo, long_window) (ALERTS{alertstate="firing"})',
                "eval_time": f"{_CALM_MIN + minutes}m",
                "exp_samples": expected,
            }
        ],
    }
    _test_rules(promtool, tmp_path, case)


def test_an_alert_says_in_words_what_burns(promtool: Path, tmp_path: Path) -> None:
    alert = {
        "eval_time": f"{_CALM_MIN + 60}m",
        "alertname": "ErrorBudgetBurn1h",
        "exp_alerts": [
            {
                "exp_labels": {
                    "severity": "page",
                    "slo": "t0-availability",
                    "long_window": "1h",
                },
                "exp_annotations": {
                    "summary": "T0 requests answered without a 5xx: the budget burns 14.4 times "
                    "too fast (objective 0.999)",
                    "description": "2% bad over 1h, and over 5m: at this rate 2% of the 30-day "
                    "budget goes in 1h.",
                },
            }
        ],
    }
    series = _requests(((60, 0.02),)).items()
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series],
        "alert_rule_test": [alert],
    }
    _test_rules(promtool, tmp_path, case)
