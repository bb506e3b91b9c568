from __future__ import annotations

import json

from surgeproof.observe.exposition import Exposition
from surgeproof.observe.expressions import Series
from surgeproof.observe.history import History
from surgeproof.observe.series import PANELS, panels_from_history, server_metrics


def test_panels_of_a_run_are_on_its_time_axis_and_a_failing_edge_is_drawn() -> None:
    history = History()
    for t in range(11):
        failed = max(0, t - 5) * 4
        page = (
            f'app_http_requests_total{{service="gateway",code="200"}} {t * 7}\n'
            f'app_edge_requests_total{{edge="graph-pg",outcome="timeout"}} {failed}\n'
            'app_edge_requests_total{edge="feed-graph",outcome="timeout"} 0\n'
        )
        history.add_page("gateway", float(t), Exposition().read(page))
    content = json.loads(json.dumps(server_metrics("scrape", panels_from_history(history, 10.4))))

    panels = {panel["title"]: panel for panel in content["panels"]}
    assert content["source"] == "scrape"
    assert list(panels) == [panel.title for panel in PANELS]
    (requests,) = panels["Requests by service"]["series"]
    assert requests["label"] == "gateway"
    assert requests["points"][0] == [1.0, 7.0]
    assert requests["points"][-1] == [10.0, 7.0]
    failures = panels["Failed calls by edge and outcome"]
    assert [series["label"] for series in failures["series"]] == ["graph-pg timeout"]
    assert failures["hidden_zero_series"] == 1


def test_a_panel_without_data_is_empty_and_not_flat() -> None:
    content = server_metrics("scrape", {})
    panels = content["panels"]
    assert isinstance(panels, list)
    assert all(panel["series"] == [] for panel in panels)


def test_a_line_that_is_zero_throughout_stays_where_zero_is_news() -> None:
    title = "Outbox pending"
    content = server_metrics("scrape", {title: [Series(("worker",), ((0.0, 0.0), (1.0, 0.0)))]})
    panels = content["panels"]
    assert isinstance(panels, list)
    (outbox,) = [panel for panel in panels if panel["title"] == title]
    assert outbox["series"] == [{"label": "worker", "points": [[0.0, 0.0], [1.0, 0.0]]}]
