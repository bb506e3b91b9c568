"""Objectives: OpenSLO v1 files whose data source is the rehearsal itself.

What is read of OpenSLO is what a run can answer: ``kind: SLO`` with a ``ratioMetric``,
Occurrences budgeting and one objective. Everything else is refused and never passed over. The
time window is the one of production; a rehearsal judges its own run, and says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from surgeproof.errors import Mistake, PlanError, UsageError
from surgeproof.model.plan import Plan
from surgeproof.model.words import Tier
from surgeproof.plan.gate_section import KnownNames
from surgeproof.plan.nodes import Mistakes, Node, ScalarNode, read_documents, read_text
from surgeproof.plan.section import Section, find_file
from surgeproof.slo.nearest import unknown_word
from surgeproof.slo.objectives import Good, Objective, parse_good

__all__ = ["load_objectives", "read_objective_file", "read_objectives"]

_API = "openslo/v1"
_SOURCE = "Rehearsal"
_METRICS = ("http.response_time",)
_LABELS = ("name", "route", "method", "tier")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
# OpenSLO's own shorthand also has weeks and months, in capitals to tell M from m.
_WINDOW = re.compile(r"\d+[mhdwMQY]")


def load_objectives(plan: Plan) -> tuple[Objective, ...]:
    """Return the objectives that a loaded plan names, from the files as they are now.

    Raises:
        PlanError: a file has gone or changed for the worse since the plan was loaded.
    """
    data = yaml.safe_load(plan.effective)
    listed = data.get("objectives") or [] if isinstance(data, dict) else []
    mistakes = Mistakes()
    objectives: list[Objective] = []
    for text in listed:
        path = find_file(str(text), plan.file)
        if path is None:
            mistakes.found.append(Mistake(str(plan.file), 0, 0, "objectives", f"no file {text!r}"))
        else:
            objectives += read_objective_file(path, mistakes)
    if mistakes.found:
        raise PlanError(mistakes.in_order())
    return tuple(objectives)


def read_objectives(root: Section, plan_file: Path, known: KnownNames) -> None:
    """Note what is wrong with the objective files of a plan.

    An objective that no request of the plan could ever count for is a mistake.
    """
    seen: dict[str, str] = {}
    for path, place, text in root.texts("objectives"):
        found = find_file(text, plan_file)
        if found is None or not found.is_file():
            root.mistakes.add(place, path, f"there is no file {text!r}")
            continue
        for objective in read_objective_file(found, root.mistakes, known.requests):
            if known.expected(objective.labels) == 0:
                message = f"no request of the schedule counts for objective {objective.name!r}"
                root.mistakes.add(place, path, f"{message} ({objective.source})")
            if objective.name in seen:
                message = f"objective {objective.name!r} is also in {seen[objective.name]}"
                root.mistakes.add(place, path, message)
            seen[objective.name] = objective.source


def read_objective_file(
    path: Path, mistakes: Mistakes, requests: Sequence[str] | None = None
) -> list[Objective]:
    """Return the objectives of one file, and note what is wrong with it."""
    text = read_text(path, mistakes)
    if text is None:
        return []
    noted = len(mistakes.found)
    documents = read_documents(text, str(path), mistakes)
    if not documents and len(mistakes.found) == noted:
        mistakes.found.append(Mistake(str(path), 0, 0, "", "is empty; accepted: OpenSLO v1"))
    read = [_read_document(node, mistakes, requests) for node in documents]
    return [objective for objective in read if objective is not None]


def _read_document(
    node: Node, mistakes: Mistakes, requests: Sequence[str] | None
) -> Objective | None:
    noted = len(mistakes.found)
    document = Section(node, "", mistakes)
    document.choice("apiVersion", "version", (_API,), required=True)
    document.choice("kind", "kind", ("SLO",), required=True)
    metadata = document.section("metadata", required=True)
    spec = document.section("spec", required=True)
    document.finish()
    if metadata is None or spec is None:
        return None
    name = metadata.parsed("name", _objective_name, required=True)
    title = metadata.text("displayName") or ""
    metadata.words("labels")
    annotations = metadata.words("annotations")
    metadata.finish()
    service = spec.text("service", required=True) or ""
    spec.text("description")
    spec.choice("budgetingMethod", "budgeting method", ("Occurrences",), required=True)
    _check_time_window(spec)
    labels, good = _read_indicator(spec.section("indicator", required=True), requests)
    target = _read_target(spec)
    spec.finish()
    if len(mistakes.found) > noted or name is None or good is None or target is None:
        return None
    return Objective(
        name=name,
        service=service,
        labels=labels,
        good=good,
        target=target,
        title=title,
        annotations=tuple(annotations.items()),
        source=f"{node.place.file}:{node.place.line}",
    )


def _objective_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise UsageError(f"{text!r} is no name; accepted: small letters, digits, - and .")
    return text


def _check_time_window(spec: Section) -> None:
    for window in spec.sections("timeWindow", required=True):
        duration = window.text("duration", required=True)
        if duration is not None and not _WINDOW.fullmatch(duration):
            window.wrong("duration", f"{duration!r} is no window; accepted: 28d, 1w, 1M …")
        window.choice("isRolling", "value", ("true", "false"))
        window.section("calendar")
        window.finish()


def _read_indicator(
    indicator: Section | None, requests: Sequence[str] | None
) -> tuple[dict[str, str], Good | None]:
    if indicator is None:
        return {}, None
    metadata = indicator.section("metadata")
    if metadata is not None:
        metadata.text("name", required=True)
        metadata.text("displayName")
        metadata.finish()
    spec = indicator.section("spec", required=True)
    indicator.finish()
    ratio = spec.section("ratioMetric", required=True) if spec is not None else None
    if spec is None or ratio is None:
        return {}, None
    spec.finish()
    ratio.choice("counter", "value", ("true", "false"))
    labels, good = _read_source(ratio.section("good", required=True), is_good=True)
    total_labels, _ = _read_source(ratio.section("total", required=True), is_good=False)
    ratio.finish()
    if good is not None and labels != total_labels:
        ratio.wrong("total", "selects other requests than good does; accepted: the same `where`")
    if requests is not None:
        _check_labels(ratio, labels, requests)
    return labels, good


def _read_source(section: Section | None, *, is_good: bool) -> tuple[dict[str, str], Good | None]:
    source = section.section("metricSource", required=True) if section is not None else None
    if section is None or source is None:
        return {}, None
    section.finish()
    source.choice("type", "type of metric source", (_SOURCE,), required=True)
    spec = source.section("spec", required=True)
    source.finish()
    if spec is None:
        return {}, None
    spec.choice("metric", "metric of objectives", _METRICS, required=True)
    labels = dict(spec.words("where"))
    for label in labels:
        if label not in _LABELS:
            spec.wrong("where", unknown_word("label", label, _LABELS))
    good = spec.parsed("good", parse_good, required=True) if is_good else None
    spec.finish()
    return {label: value for label, value in labels.items() if label in _LABELS}, good


def _check_labels(ratio: Section, labels: dict[str, str], requests: Sequence[str]) -> None:
    name, tier = labels.get("name"), labels.get("tier")
    if name is not None and requests and name not in requests:
        ratio.wrong("good", unknown_word("name", name, requests))
    if tier is not None and tier not in set(Tier):
        ratio.wrong("good", unknown_word("tier", tier, list(Tier)))


def _read_target(spec: Section) -> float | None:
    objectives = list(spec.sections("objectives", required=True))
    if not objectives:
        return None
    if len(objectives) > 1:
        spec.wrong("objectives", f"{len(objectives)} of them; accepted: one for each SLO")
    objective = objectives[0]
    objective.text("displayName")
    percent = _number(objective, "targetPercent")
    target = _number(objective, "target", required=percent is None)
    objective.finish()
    if target is not None and percent is not None:
        objective.wrong("target", "is there beside targetPercent; accepted: one of them")
    value = percent / 100 if target is None and percent is not None else target
    if value is not None and not 0 < value < 1:
        # 100 % leaves no budget: then a gate (`== 0`) is what is meant.
        objective.wrong("target", f"{value:g}; accepted: a share above 0 and below 1")
        return None
    return value


def _number(section: Section, name: str, *, required: bool = False) -> float | None:
    node = section.get(name, required=required)
    if node is None:
        return None
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    section.wrong(name, "accepted: a number")
    return None
