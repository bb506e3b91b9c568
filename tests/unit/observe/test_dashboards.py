from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from surgeproof.observe.dashboards import dashboard_files, dashboard_panels, grafana_overview
from surgeproof.observe.exporter import HARNESS_METRICS

_FOLDER = Path(__file__).parents[3] / "dashboards"


@pytest.mark.parametrize("name", sorted(dashboard_files()))
def test_the_committed_file_is_what_the_generator_writes(name: str) -> None:
    committed = (_FOLDER / name).read_text(encoding="utf-8")
    assert committed == dashboard_files()[name], "stale: run `python -m surgeproof.observe`"


def test_nothing_else_lies_in_the_generated_folder() -> None:
    assert {path.name for path in _FOLDER.iterdir()} == set(dashboard_files())


def test_the_overview_is_json_whose_panels_do_not_overlap() -> None:
    panels = json.loads(json.dumps(grafana_overview()))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (place["x"] + dx, place["y"] + dy)
            for dx in range(place["w"])
            for dy in range(place["h"])
        }
        assert not taken & cells
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_every_harness_metric_is_drawn() -> None:
    queries = " ".join(query for panel in dashboard_panels() for query, _ in panel.queries)
    used = set(re.findall(r"surgeproof_\w+", queries))
    assert used == set(HARNESS_METRICS)


def test_the_fault_bands_come_from_the_contracts_metric() -> None:
    text = dashboard_files()["grafana-overview.json"]
    assert json.loads(text)["annotations"]["list"][0]["expr"] == "surgeproof_fault_active == 1"
