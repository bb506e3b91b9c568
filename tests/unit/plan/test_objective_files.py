"""OpenSLO files: what is read of them, and what is refused at its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from surgeproof.errors import PlanError
from surgeproof.model.plan import Plan
from surgeproof.plan import load_objectives
from surgeproof.plan.nodes import Mistakes
from surgeproof.plan.objective_files import read_objective_file
from surgeproof.slo.objectives import Good

SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: feed-latency
  displayName: Feed
  annotations: {surgeproof/production: "99.9%"}
spec:
  service: threads
  indicator:
    metadata: {name: feed-sli}
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Rehearsal
            spec:
              metric: http.response_time
              where: {name: "GET /feed"}
              good: "latency <= 300ms and outcome in (full, degraded)"
        total:
          metricSource:
            type: Rehearsal
            spec: {metric: http.response_time, where: {name: "GET /feed"}}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.95}]
"""
REPOSITORY = Path(__file__).parents[3]
WITH_OBJECTIVES = ("ledger: [post]", "objectives: [slo.yaml]")


def test_objectives_of_a_plan_are_read(load: Callable[..., Plan], folder: Path) -> None:
    (folder / "slo.yaml").write_text(SLO)
    (objective,) = load_objectives(load(WITH_OBJECTIVES))
    assert (objective.name, objective.service, objective.target) == (
        "feed-latency",
        "threads",
        0.95,
    )
    assert (objective.labels, objective.title) == ({"name": "GET /feed"}, "Feed")
    assert objective.good == Good(("full", "degraded"), 0.3)
    assert dict(objective.annotations) == {"surgeproof/production": "99.9%"}


def test_a_plan_without_objectives_has_none(load: Callable[..., Plan]) -> None:
    assert load_objectives(load()) == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("kind: SLO", "kind: SLI", "slo.yaml:2:7: kind: unknown kind 'SLI'"),
        ("openslo/v1", "openslo/v2", "slo.yaml:1:13: apiVersion: unknown version"),
        ("service: threads", "servce: threads", "slo.yaml:8:3: spec.servce: unknown key 'servce'"),
        ("Occurrences", "Timeslices", "slo.yaml:26:20: spec.budgetingMethod: unknown budgeting"),
        ("target: 0.95", "target: 1", "slo.yaml:27:25: spec.objectives[0].target: 1; accepted"),
        ("target: 0.95", "targt: 0.95", "slo.yaml:27:17: spec.objectives[0].targt: unknown key"),
        ("latency <= 300ms", "latency <= 300", "slo.yaml:20:21: spec.indicator.spec.ratioMetric.g"),
        ("duration: 28d", "duration: month", "slo.yaml:25:27: spec.timeWindow[0].duration"),
        ("ratioMetric", "thresholdMetric", "slo.yaml:12:7: spec.indicator.spec.ratioMetric: is r"),
        (
            'where: {name: "GET /feed"}\n',
            'where: {name: "POST /posts"}\n',
            "slo.yaml:22:11: spec.indicator.spec.ratioMetric.total: selects other requests",
        ),
    ],
    ids=[
        "kind",
        "version",
        "unknown key",
        "budgeting method",
        "a target that leaves no budget",
        "target",
        "condition",
        "time window",
        "threshold metric",
        "good and total differ",
    ],
)
def test_mistakes_have_their_own_file_and_line(
    mistakes: Callable[..., list[str]], folder: Path, old: str, new: str, expected: str
) -> None:
    assert SLO.count(old) == 1
    (folder / "slo.yaml").write_text(SLO.replace(old, new))
    found = mistakes(WITH_OBJECTIVES)
    assert any(line.startswith(expected) for line in found), "\n".join(found)


def test_an_objective_on_an_unknown_request_is_refused(
    mistakes: Callable[..., list[str]], folder: Path
) -> None:
    (folder / "slo.yaml").write_text(SLO.replace("GET /feed", "GET /fed"))
    assert "unknown name 'GET /fed'; did you mean 'GET /feed'?" in mistakes(WITH_OBJECTIVES)[0]


def test_an_objective_that_no_request_counts_for_is_refused(
    mistakes: Callable[..., list[str]], folder: Path
) -> None:
    (folder / "slo.yaml").write_text(SLO.replace('name: "GET /feed"', "route: /fed"))
    (found,) = mistakes(WITH_OBJECTIVES)
    assert "no request of the schedule counts for objective 'feed-latency' (slo.yaml:1)" in found


def test_one_name_for_two_objectives_is_refused(
    mistakes: Callable[..., list[str]], folder: Path
) -> None:
    (folder / "slo.yaml").write_text(f"{SLO}---\n{SLO}")
    assert "objective 'feed-latency' is also in slo.yaml:1" in mistakes(WITH_OBJECTIVES)[0]


def test_a_file_that_went_away_is_an_error_when_it_is_needed(
    load: Callable[..., Plan], folder: Path
) -> None:
    (folder / "slo.yaml").write_text(SLO)
    plan = load(WITH_OBJECTIVES)
    (folder / "slo.yaml").unlink()
    with pytest.raises(PlanError, match=r"no file 'slo\.yaml'"):
        load_objectives(plan)


def test_the_objectives_of_launch_day_say_what_production_asks_for() -> None:
    mistakes = Mistakes()
    found = read_objective_file(REPOSITORY / "reports/objectives/launch_day.yaml", mistakes)
    assert not mistakes.found
    assert len({objective.name for objective in found}) == len(found) == 20
    assert all("surgeproof/production" in dict(objective.annotations) for objective in found)
