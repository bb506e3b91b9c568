"""What panels, rules and effects read is what the reference app's own registries define."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry, Histogram

from surgeproof.observe.edge_effect import EDGE_METRICS
from surgeproof.observe.expressions import Latest, Quantile, Rate
from surgeproof.observe.rules import OBJECTIVES, ServiceObjective
from surgeproof.observe.series import PANELS, Panel
from target_app.edge.metrics import EdgeMetrics
from target_app.serving.metrics import ServiceMetrics
from target_app.worker.metrics import WorkerMetrics

# What the scrape config adds to each target.
_TARGET_LABELS = {"process"}


def _app_labels() -> dict[str, set[str]]:
    """Return metric name → its labels, for every name that a page of the app can hold."""
    registry = CollectorRegistry()
    ServiceMetrics(registry, "gateway")
    EdgeMetrics(registry)
    WorkerMetrics(registry)
    found = {}
    for collector, names in registry._collector_to_names.items():
        labels = set(collector._labelnames)  # type: ignore[attr-defined]  # not on the base class
        for name in names:
            extra = {"le"} if name.endswith("_bucket") else set()
            found[name] = labels | extra
    return found


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_panel_reads_names_and_labels_that_the_app_exports(panel: Panel) -> None:
    expression = panel.expression
    labels = set(expression.by)
    if isinstance(expression, Rate | Quantile):
        labels |= set(expression.where)
    if isinstance(expression, Rate):
        labels |= set(expression.excluded)
    assert isinstance(expression, Rate | Quantile | Latest)
    for name in expression.metrics:
        assert labels <= _app_labels()[name] | _TARGET_LABELS


@pytest.mark.parametrize("name", EDGE_METRICS)
def test_the_judge_of_faults_reads_names_that_the_app_exports_by_edge(name: str) -> None:
    assert "edge" in _app_labels()[name]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_a_rule_reads_names_and_labels_that_the_app_exports(objective: ServiceObjective) -> None:
    expression = objective.error_ratio("5m")
    selections = re.findall(r"(app_\w+)\{([^}]*)\}", expression)
    assert selections
    for name, matchers in selections:
        assert set(re.findall(r"(\w+)=~?\"", matchers)) <= _app_labels()[name]


def test_a_latency_objective_asks_for_a_bound_that_the_histogram_has() -> None:
    duration = ServiceMetrics(CollectorRegistry(), "gateway").duration
    assert isinstance(duration, Histogram)
    bounds = {float(bound) for bound in duration._kwargs["buckets"]}
    assert {o.within_s for o in OBJECTIVES if o.within_s is not None} <= bounds
