"""Recording rules and multi-window burn-rate alerts, generated from the objectives below.

Source of the method: the SRE Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts"::

    B       = 1 - SLO                       the error budget, a ratio
    BR(w)   = errors(w) / total(w) / B      burn rate over a window w
    BR*     = c · T / w                     the rate that spends the share c of a T-long budget in w
    alert   = BR(long) > BR* and BR(short) > BR*,  short = long / 12

| symbol | meaning                                  | unit  |
|--------|------------------------------------------|-------|
| T      | length of the budget, 30 days            | s     |
| w      | the window, long or short                | s     |
| c      | share of the budget spent when it alerts | ratio |

The short window ends an alert soon after the errors end: a page for an outage that is over wakes
people for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from surgeproof.observe.series import ENTRY_SERVICE

__all__ = [
    "BUDGET_S",
    "BURN_WINDOWS",
    "OBJECTIVES",
    "BurnWindow",
    "ServiceObjective",
    "alert_name",
    "error_ratio_record",
    "prometheus_duration",
    "rules_document",
]

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
BUDGET_S = 30 * _DAY_S
# The Workbook's guideline: short enough to end an alert soon, long enough not to flap.
_SHORT_PART = 12


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """One row of the alerting table: how much of the budget within which window is too much."""

    long_s: int
    budget_share: float
    severity: str  # page | ticket

    @property
    def short_s(self) -> int:
        return self.long_s // _SHORT_PART

    @property
    def threshold(self) -> float:
        """The burn rate BR* = c · T / w."""
        return round(self.budget_share * BUDGET_S / self.long_s, 6)


# The Workbook's recommended parameters, and the row of 10 % in a day as sloth has it
# (internal/alert/window.go). Worked out with T = 720 h:
# 2 % · 720 h / 1 h = 14.4; 5 % · 720 h / 6 h = 6; 10 % · 720 h / 24 h = 3; 10 % · 720 h / 72 h = 1.
BURN_WINDOWS: tuple[BurnWindow, ...] = (
    BurnWindow(1 * _HOUR_S, 0.02, "page"),
    BurnWindow(6 * _HOUR_S, 0.05, "page"),
    BurnWindow(1 * _DAY_S, 0.10, "ticket"),
    BurnWindow(3 * _DAY_S, 0.10, "ticket"),
)


@dataclass(frozen=True, slots=True)
class ServiceObjective:
    """An objective on the entry's requests.

    ``selector`` picks the requests. Bad is an answer with a 5xx status, or, where ``within_s`` is
    given (it must be a bucket bound of the histogram), one that took longer.
    """

    name: str
    summary: str
    selector: str
    objective: float
    within_s: float | None = None

    @property
    def budget(self) -> float:
        """B = 1 - SLO, rounded: binary fractions would print as 0.0010000000000000009."""
        return round(1 - self.objective, 9)

    def error_ratio(self, window: str) -> str:
        """Return errors(w) / total(w) as PromQL."""
        chosen = f'service="{ENTRY_SERVICE}", {self.selector}'
        if self.within_s is None:
            requests = "app_http_requests_total"
            bad = f'sum(rate({requests}{{{chosen}, code=~"5.."}}[{window}])) or vector(0)'
            return f"({bad}) / sum(rate({requests}{{{chosen}}}[{window}]))"
        duration = "app_http_request_duration_seconds"
        good = f'sum(rate({duration}_bucket{{{chosen}, le="{self.within_s:g}"}}[{window}]))'
        return f"1 - {good} / sum(rate({duration}_count{{{chosen}}}[{window}]))"


# What the reference app promises at nominal load (its tiers' availability, the feed's p95).
OBJECTIVES: tuple[ServiceObjective, ...] = (
    ServiceObjective("t0-availability", "T0 requests answered without a 5xx", 'tier="T0"', 0.999),
    ServiceObjective("t1-availability", "T1 requests answered without a 5xx", 'tier="T1"', 0.995),
    ServiceObjective("t2-availability", "T2 requests answered without a 5xx", 'tier="T2"', 0.995),
    ServiceObjective("t3-availability", "T3 requests answered without a 5xx", 'tier="T3"', 0.99),
    ServiceObjective(
        "feed-latency",
        "home feeds answered within 100 ms",
        'route="/v1/feed/home"',
        0.95,
        within_s=0.1,
    ),
)


def rules_document() -> dict[str, object]:
    """Return the content of `rules.yml`: error ratios per window, then the alerts."""
    return {
        "groups": [
            {
                "name": "surgeproof-error-ratios",
                "interval": "15s",
                "rules": list(_recording_rules()),
            },
            {
                "name": "surgeproof-burn-rates",
                "interval": "15s",
                "rules": list(_alerts()),
            },
        ]
    }


def error_ratio_record(window_s: int) -> str:
    """Return the recorded series' name for a window (level:metric:operation)."""
    return f"slo:error_ratio:rate{prometheus_duration(window_s)}"


def alert_name(window: BurnWindow) -> str:
    """Return the name of a window's alert, by its long side."""
    return f"ErrorBudgetBurn{prometheus_duration(window.long_s)}"


def prometheus_duration(duration_s: int) -> str:
    """Return whole seconds as Prometheus writes them: ``5m``, ``6h``, ``3d``."""
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "m")):
        if duration_s % unit_s == 0:
            return f"{duration_s // unit_s}{unit}"
    return f"{duration_s}s"


def _recording_rules() -> Iterator[dict[str, object]]:
    windows = sorted({length for row in BURN_WINDOWS for length in (row.long_s, row.short_s)})
    for objective in OBJECTIVES:
        for window_s in windows:
            yield {
                "record": error_ratio_record(window_s),
                "expr": objective.error_ratio(prometheus_duration(window_s)),
                "labels": {"slo": objective.name},
            }


def _alerts() -> Iterator[dict[str, object]]:
    for objective in OBJECTIVES:
        for row in BURN_WINDOWS:
            # A ratio that can be exceeded: a test holds the largest one below 1.
            limit = round(row.threshold * objective.budget, 9)
            chosen = f'{{slo="{objective.name}"}}'
            sides = (
                f"{error_ratio_record(w)}{chosen} > {limit:g}" for w in (row.long_s, row.short_s)
            )
            long, short = (prometheus_duration(w) for w in (row.long_s, row.short_s))
            yield {
                "alert": alert_name(row),
                "expr": " and ".join(sides),
                "labels": {"severity": row.severity, "slo": objective.name, "long_window": long},
                "annotations": {
                    "summary": f"{objective.summary}: the budget burns {row.threshold:g} times "
                    f"too fast (objective {objective.objective:.4g})",
                    "description": f"{{{{ $value | humanizePercentage }}}} bad over {long}, and "
                    f"over {short}: at this rate {row.budget_share:.0%} of the 30-day budget "
                    f"goes in {long}.",
                },
            }
