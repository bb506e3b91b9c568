"""The degradation contract, the edge table and the public interface must speak of the same."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

TARGET_APP = Path(__file__).parents[3] / "target_app"
EXPECTATIONS = {"ok", "stale", "fallback", "queued", "refused"}
METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture
def contract() -> dict[str, object]:
    return tomllib.loads((TARGET_APP / "contracts/degradation.toml").read_text(encoding="utf-8"))


@pytest.fixture
def endpoints() -> set[str]:
    """Return ``METHOD /template`` for every operation of the public interface."""
    paths = yaml.safe_load((TARGET_APP / "openapi.yaml").read_text(encoding="utf-8"))["paths"]
    return {
        f"{method.upper()} {path}"
        for path, operations in paths.items()
        for method in operations
        if method in METHODS
    }


def losses(contract: dict[str, object]) -> Iterator[dict[str, dict[str, dict[str, object]]]]:
    rows = contract["loss"]
    assert isinstance(rows, list)
    yield from rows


def test_the_features_cover_the_public_interface_exactly(
    contract: dict[str, object], endpoints: set[str]
) -> None:
    features = contract["features"]
    assert isinstance(features, dict)
    covered = [endpoint for endpoints_of in features.values() for endpoint in endpoints_of]
    assert sorted(covered) == sorted(endpoints)


def test_every_loss_says_what_each_feature_does(contract: dict[str, object]) -> None:
    features = contract["features"]
    assert isinstance(features, dict)
    for loss in losses(contract):
        assert set(loss["expect"]) == set(features), loss["dependency"]


def test_expectations_are_of_the_closed_list_and_marks_where_they_are_due(
    contract: dict[str, object],
) -> None:
    for loss in losses(contract):
        for feature, cell in loss["expect"].items():
            expected = cell["expect"]
            assert isinstance(expected, list)
            assert expected, (loss["dependency"], feature)
            assert set(expected) <= EXPECTATIONS, (loss["dependency"], feature)
            is_marked = bool({"stale", "fallback"} & set(expected))
            assert ("marks" in cell) is is_marked, (loss["dependency"], feature)


def test_every_edge_of_the_app_is_lost_in_some_row(contract: dict[str, object]) -> None:
    table = tomllib.loads((TARGET_APP / "edges.toml").read_text(encoding="utf-8"))
    declared = {edge["name"] for edge in table["edge"]}
    lost = {edge for loss in losses(contract) for edge in loss.get("edges", ())}
    assert lost == declared


def test_every_loss_names_edges_or_a_process(contract: dict[str, object]) -> None:
    for loss in losses(contract):
        assert ("edges" in loss) != ("process" in loss), loss["dependency"]
