from __future__ import annotations

import pytest

from surgeproof.model.plan import Fault, Window
from surgeproof.observe.edge_effect import edge_calls, fault_effect
from surgeproof.observe.exposition import Exposition
from surgeproof.observe.history import History

_BEFORE, _DURING = Window("before", 0.0, 10.0), Window("fault:x", 10.0, 20.0)


def _fault(kind: str = "down", **attributes: int) -> Fault:
    return Fault("x", "graph-pg", kind, 10.0, 10.0, attributes)


class _Edge:
    """An edge that makes so many calls a second, and the pages that would tell of it."""

    def __init__(self) -> None:
        self.history = History()
        self._total = {"ok": 0.0, "error": 0.0}
        self._sum_s, self._count, self._opened = 0.0, 0.0, 0.0
        self._page(0.0)

    def calls(
        self, end_s: int, *, ok: float, error: float = 0, mean_s: float = 0.004, opened: float = 0
    ) -> _Edge:
        """Make ``ok`` and ``error`` calls each second up to ``end_s``."""
        start = len(next(iter(self.history.select("app_edge_requests_total")))[1].times_s)
        for second in range(start, end_s + 1):
            self._total["ok"] += ok
            self._total["error"] += error
            self._count += ok + error
            self._sum_s += (ok + error) * mean_s
            self._opened += opened
            self._page(float(second))
        return self

    def _page(self, t_s: float) -> None:
        lines = [
            f'app_edge_requests_total{{edge="graph-pg",outcome="{outcome}"}} {total}'
            for outcome, total in self._total.items()
        ]
        lines += [
            f'app_edge_duration_seconds_sum{{edge="graph-pg"}} {self._sum_s}',
            f'app_edge_duration_seconds_count{{edge="graph-pg"}} {self._count}',
            f'app_breaker_transitions_total{{edge="graph-pg",to="open"}} {self._opened}',
            'app_edge_requests_total{edge="feed-graph",outcome="error"} 999',
        ]
        self.history.add_page("graph", t_s, Exposition().read("\n".join(lines)))


def test_calls_of_a_window_are_counted_for_this_edge_alone() -> None:
    edge = _Edge().calls(9, ok=10).calls(20, ok=5, error=5, mean_s=0.1)
    calls = edge_calls(edge.history, "graph-pg", _DURING)
    # The readings that span [10, 20) are those at 10 … 19: nine seconds of ten calls.
    assert calls.outcomes == {"ok": 45.0, "error": 45.0}
    assert calls.failed_ratio == 0.5
    assert calls.mean_s == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("fault", "during", "observed", "part"),
    [
        pytest.param(_fault(), {"ok": 0, "error": 10}, True, "failed calls", id="every call fails"),
        pytest.param(
            _fault("reset_peer"),
            {"ok": 10, "opened": 0.2},
            True,
            "breaker",
            id="only the breaker tells",
        ),
        pytest.param(
            _fault("latency", latency=120),
            {"ok": 10, "mean_s": 0.130},
            True,
            "4ms before, 130ms during",
            id="the delay is seen",
        ),
        pytest.param(
            _fault("latency", latency=120),
            {"ok": 10, "mean_s": 0.020},
            False,
            "nothing changed",
            id="less than half of the delay is no effect of it",
        ),
        pytest.param(
            _fault("bandwidth", rate=8),
            {"ok": 10, "mean_s": 0.012},
            True,
            "mean call time",
            id="slower without a known delay",
        ),
        pytest.param(_fault(), {"ok": 10}, False, "nothing changed", id="a fault that nobody felt"),
        pytest.param(
            _fault(), {"ok": 10, "error": 0.1}, False, "nothing", id="a single failure is chance"
        ),
        pytest.param(_fault(), {"ok": 0}, None, "only", id="nobody called the edge"),
    ],
)
def test_a_fault_is_observed_when_its_edge_changed(
    fault: Fault, during: dict[str, float], observed: bool | None, part: str
) -> None:
    edge = _Edge().calls(10, ok=10).calls(20, **during)
    effect = fault_effect(edge.history, fault, _BEFORE, _DURING)
    assert effect.observed is observed
    assert part in effect.detail


def test_failures_count_as_seen_though_the_edge_was_quiet_before() -> None:
    edge = _Edge().calls(10, ok=0).calls(20, ok=0, error=2)
    assert fault_effect(edge.history, _fault(), _BEFORE, _DURING).observed is True


def test_an_edge_that_was_quiet_before_cannot_be_compared() -> None:
    edge = _Edge().calls(10, ok=0).calls(20, ok=10)
    assert fault_effect(edge.history, _fault(), _BEFORE, _DURING).observed is None


def test_failures_that_were_there_before_are_no_effect() -> None:
    edge = _Edge().calls(20, ok=5, error=5)
    assert fault_effect(edge.history, _fault(), _BEFORE, _DURING).observed is False


def test_a_target_without_edge_metrics_leaves_it_open() -> None:
    effect = fault_effect(History(), _fault(), _BEFORE, _DURING)
    assert effect.observed is None
    assert "exports no calls" in effect.detail
