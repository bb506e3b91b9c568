"""Whatever a user may meet stands in docs/: the code is walked, so that nothing is forgotten."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from surgeproof import cli
from surgeproof.faults.kinds import FAULT_KINDS
from surgeproof.journal.events import EVENT_NAMES
from surgeproof.load.arrivals import ARRIVAL_KINDS, COMMON_PARAMETERS
from surgeproof.model.words import ExitCode, Outcome, Reason, Status, Tier
from surgeproof.schemas import read_schema
from surgeproof.slo.metrics import LABELS, METRICS
from surgeproof.slo.notation import parse_gate
from surgeproof.slo.quantiles import minimum_samples
from surgeproof.stack import edges
from surgeproof.units import parse_duration

DOCS = Path(__file__).parents[2] / "docs"
SOURCE = Path(cli.__file__).parent


@cache
def page(name: str) -> str:
    return (DOCS / name).read_text()


def section(name: str, title: str) -> str:
    """Return the part of a page under a heading, up to the next of the same or a higher level."""
    found = re.search(rf"^(#+) {re.escape(title)}$", page(name), re.MULTILINE)
    assert found, f"{name} has no section {title!r}"
    rest = page(name)[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> dict[str, str]:
    """Return the rows of the tables in a text, by what their first cell has in code marks."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("| `"):
            continue
        first = line.split("|")[1]
        found.update(dict.fromkeys(re.findall(r"`([^`]+)`", first), line))
    return found


def keys_of(schema: Mapping[str, Any], definition: str | None = None) -> list[str]:
    """Return the property names of a definition of the plan's schema (all its alternatives)."""
    node = schema if definition is None else schema["$defs"][definition]
    parts = [node, *node.get("oneOf", [])]
    return list(dict.fromkeys(key for part in parts for key in part.get("properties", {})))


SCHEMA = read_schema("plan")
FAULT_ATTRIBUTES = {name for kind in FAULT_KINDS.values() for name in kind.attributes}


@pytest.mark.parametrize(
    ("title", "definition"),
    [
        ("Top level", None),
        ("`target`", "target"),
        ("`endpoints`", "endpoint"),
        ("`load`", "load"),
    ],
)
def test_every_key_of_a_plan_is_explained_in_its_section(
    title: str, definition: str | None
) -> None:
    assert set(rows(section("plan.md", title))) >= set(keys_of(SCHEMA, definition))


def test_every_key_of_a_phase_and_of_a_fault_is_explained() -> None:
    text = section("plan.md", "`load`")
    assert [key for key in keys_of(SCHEMA, "phase") if f"`{key}`" not in text] == []
    explained = set(rows(section("plan.md", "`faults`")))
    assert set(keys_of(SCHEMA, "fault")) - FAULT_ATTRIBUTES <= explained


def test_every_key_of_an_edge_is_explained() -> None:
    assert set(rows(section("plan.md", "The edges file"))) == set(edges._KEYS)


@pytest.mark.parametrize("kind", ARRIVAL_KINDS)
def test_every_arrival_kind_is_explained_with_its_parameters(kind: str) -> None:
    row = rows(section("plan.md", "Arrival kinds"))[kind]
    assert [name for name in ARRIVAL_KINDS[kind].parameters if f"`{name}`" not in row] == []


@pytest.mark.parametrize("name", COMMON_PARAMETERS)
def test_what_every_arrival_kind_takes_is_explained(name: str) -> None:
    assert name in rows(section("plan.md", "Scaling, chance and sums"))


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_every_fault_kind_is_explained_with_its_attributes_their_units_and_bounds(
    kind: str,
) -> None:
    row = rows(section("plan.md", "Fault kinds"))[kind]
    for name, attribute in FAULT_KINDS[kind].attributes.items():
        told = re.search(rf"`{name}` \(([^)]*)\)", row)
        assert told, f"{name} is missing in: {row}"
        assert ("required" in told[1]) == attribute.required
        if attribute.unit in ("ms", "us"):
            assert told[1].startswith(attribute.unit)
            high = re.search(r" to (\w+)", told[1])
            scale = {"ms": 1_000, "us": 1_000_000}[attribute.unit]
            assert high is not None
            assert parse_duration(high[1]) * scale == attribute.high


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_explained_with_its_unit_statistics_and_labels(name: str) -> None:
    metric = METRICS[name]
    _, _, unit, stats, labels, what, _ = rows(section("gates.md", "Metrics"))[name].split("|")
    units = {"s": "time", "ratio": "share", "per_s": "per second", "count": "count"}
    assert unit.strip() == units[metric.unit]
    assert re.findall(r"`([^`]+)`", stats) == list(metric.stats)
    requests = tuple(label for label in LABELS if label not in ("outcome", "fault", "kind"))
    groups = {"all": (*requests, "outcome"), "request's": requests}
    told = groups.get(labels.strip()) or tuple(re.findall(r"`([^`]+)`", labels))
    assert set(told) == set(metric.labels)
    assert what.strip()


def test_every_label_is_explained_with_the_metrics_that_have_it() -> None:
    found = rows(section("gates.md", "Metrics"))
    assert [label for label in LABELS if label not in found] == []
    narrow = ("outcome", "fault", "kind")
    for label in narrow:
        told = set(re.findall(r"`([^`]+)`", found[label].split("|")[3]))
        assert told == {name for name, metric in METRICS.items() if label in metric.labels}


def test_every_gate_that_is_shown_as_an_example_can_be_read() -> None:
    shown = [
        text
        for name in ("gates.md", "plan.md", "your-service.md")
        for text in re.findall(r"^  - ['\"](.*)['\"]$", page(name), re.MULTILINE)
    ]
    assert len(shown) >= 8
    for text in shown:
        parse_gate(text, id="example")


def test_the_minimum_numbers_of_samples_are_those_of_the_code() -> None:
    table = section("gates.md", "Quantiles, and how many samples they need")
    told = {
        float(q): int(n.replace(",", "")) for q, n in re.findall(r"\| p([\d.]+) \| (\S+)", table)
    }
    assert set(told) >= {95.0, 99.0, 99.9}
    assert told == {share: minimum_samples(share / 100) for share in told}


@pytest.mark.parametrize("status", Status)
def test_every_status_of_a_gate_is_explained(status: Status) -> None:
    assert str(status) in rows(section("gates.md", "What a gate comes to"))


def test_every_exit_code_is_explained_and_none_that_does_not_exist() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", page("verdict.md"), re.MULTILINE)}
    assert told == {int(code) for code in ExitCode}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(reason: Reason) -> None:
    assert str(reason) in rows(page("verdict.md"))


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_explained(outcome: Outcome) -> None:
    assert f"`{outcome}`" in section("journal.md", "Outcomes")


@pytest.mark.parametrize("tier", Tier)
def test_every_tier_is_explained(tier: Tier) -> None:
    assert f"`{tier}`" in rows(section("plan.md", "`endpoints`"))["tier"]


def _commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in cli._parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


COMMANDS = dict(_commands())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_explained(command: str) -> None:
    assert re.search(rf"^\| `surgeproof {command}[ `]", page("commands.md"), re.MULTILINE)


def test_every_option_is_explained_with_the_commands_that_have_it() -> None:
    told = {
        option.split()[0]: {name.strip() for name in row.split("|")[2].split(",")}
        for option, row in rows(page("commands.md")).items()
        if option.startswith("--")
    }
    real: dict[str, set[str]] = {}
    for command, parser in COMMANDS.items():
        for action in parser._actions:
            for option in action.option_strings:
                if option.startswith("--") and option != "--help":
                    real.setdefault(option, set()).add(command)
    assert told == real


def test_every_yaml_example_is_yaml() -> None:
    for name in ("plan.md", "gates.md"):
        for text in re.findall(r"```yaml\n(.*?)```", page(name), re.DOTALL):
            assert isinstance(yaml.safe_load(text), dict)


def test_the_pages_link_to_pages_that_exist() -> None:
    for path in DOCS.glob("*.md"):
        for link in re.findall(r"\]\(([\w./-]+\.md)\)", path.read_text()):
            assert (path.parent / link).is_file(), f"{path.name} links to {link}"


def test_every_event_that_the_code_writes_is_explained() -> None:
    append = re.compile(r"events\.append\(\s*\"([a-z_.]+)\"")
    written = {name for path in SOURCE.rglob("*.py") for name in append.findall(path.read_text())}
    told = set(rows(section("journal.md", "Events")))
    assert len(written) > 10
    assert written <= told <= EVENT_NAMES
