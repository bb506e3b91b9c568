"""Settings and the edge table: every mistake is told, with what would be accepted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import target_app
from target_app.edge import load_policies
from target_app.edge.policy import PolicyError
from target_app.settings import Settings, SettingsError

TABLE = Path(target_app.__file__).parent / "edges.toml"


@pytest.fixture
def edges_file(tmp_path: Path) -> Path:
    path = tmp_path / "edges.json"
    addresses = {
        name: {"host": "127.0.0.1", "port": 4000 + number}
        for number, name in enumerate(load_policies(TABLE))
    }
    path.write_text(json.dumps(addresses), encoding="utf-8")
    return path


def test_the_environment_gives_a_process_its_settings(edges_file: Path) -> None:
    settings = Settings.from_environment(
        "feed",
        {
            "APP_PORT": "8080",
            "APP_EDGES": str(edges_file),
            "APP_SEED": "7",
            "APP_FALLBACK_OFF": "feed-timeline, gw-feed",
        },
    )
    assert (settings.port, settings.seed, settings.database) == (8080, 7, "threads")
    assert not settings.fallback_allowed("feed-timeline")
    assert settings.fallback_allowed("feed-graph")
    assert settings.policies["graph-pg"].timeout_s == 0.25


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    empty = tmp_path / "edges.json"
    empty.write_text("{}", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(
            "feed", {"APP_PORT": "0", "APP_EDGES": str(empty), "APP_FALLBACK_OFF": "nothing"}
        )
    text = str(caught.value)
    assert "APP_PORT is '0' (accepted: a whole number, 1 to 65535)" in text
    assert "no address for feed-graph, feed-timeline" in text
    assert "APP_FALLBACK_OFF: no edge 'nothing'" in text


def test_a_missing_edges_file_is_told_by_its_path() -> None:
    with pytest.raises(SettingsError, match=r"APP_EDGES is '/nowhere.json': FileNotFoundError"):
        Settings.from_environment("feed", {"APP_PORT": "1", "APP_EDGES": "/nowhere.json"})


def test_a_bad_edge_table_lists_every_mistake(tmp_path: Path) -> None:
    table = tmp_path / "edges.toml"
    table.write_text(
        """
        [[edge]]
        name = "a"
        dependency = "x"
        from = "a"
        to = "b"
        upstream = "b"
        timeout = "soon"
        max_in_flight = -1
        colour = "red"
        retry = { budget = "200%" }
        """,
        encoding="utf-8",
    )
    with pytest.raises(PolicyError) as caught:
        load_policies(table)
    text = str(caught.value)
    for part in (
        "no duration: 'soon'",
        "max_in_flight is -1",
        "key 'colour'",
        "percentage: '200%'",
    ):
        assert part in text


def test_a_caller_waits_longer_than_each_edge_below_it() -> None:
    """A lower edge that gives up first can still be answered for by the one above."""
    policies = load_policies(TABLE)
    for upper in policies.values():
        for lower in policies.values():
            if lower.origin == upper.target:
                assert lower.timeout_s < upper.timeout_s, (upper.name, lower.name)


def test_another_region_has_its_own_neighbours_and_the_leader_s_for_the_rest(
    tmp_path: Path,
) -> None:
    rows = load_policies(TABLE) | load_policies(TABLE.with_name("edges.two-region.toml"))
    path = tmp_path / "edges.json"
    addresses = {
        name: {"host": "127.0.0.1", "port": 4000 + number} for number, name in enumerate(rows)
    }
    path.write_text(json.dumps(addresses), encoding="utf-8")
    environ = {"APP_PORT": "8080", "APP_EDGES": str(path), "APP_REGION": "b"}
    graph = Settings.from_environment("graph", environ)
    assert graph.edges["graph-pg"][1] == addresses["region-link"]["port"]
    assert graph.policies["graph-pg"].name == "region-link"
    gateway = Settings.from_environment("gateway", environ)
    assert gateway.edges["gw-feed"][1] == addresses["gw-feed-b"]["port"]
    assert gateway.edges["gw-identity"][1] == addresses["gw-identity"]["port"]
    leader = Settings.from_environment("graph", {**environ, "APP_REGION": "a"})
    assert leader.edges["graph-pg"][1] == addresses["graph-pg"]["port"]
