"""Service level objectives judged over a whole run, with the error budget that it spent.

Occurrences budgeting of OpenSLO v1: an objective holds if ``good / total >= target``. The error
budget is ``(1 - target) * total`` bad events, and ``bad / budget`` of it was spent.
`surgeproof.plan` reads the files; here are only numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from surgeproof.errors import UsageError
from surgeproof.model.plan import Selector
from surgeproof.model.result import GateResult
from surgeproof.model.words import Outcome, Status
from surgeproof.slo.nearest import unknown_word
from surgeproof.slo.notation import print_quantity
from surgeproof.slo.run_data import RunData
from surgeproof.slo.select import label_mask
from surgeproof.units import format_ratio, parse_duration

__all__ = [
    "Good",
    "Objective",
    "ObjectiveResult",
    "judge_objective",
    "judge_objectives",
    "parse_good",
]

_LATENCY = re.compile(r"latency\s*<=\s*(\S+)")
_OUTCOMES = re.compile(r"outcome\s+in\s*\(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class Good:
    """What makes an event good: one of ``outcomes``, within ``latency_s`` of its intended start."""

    outcomes: tuple[str, ...]
    latency_s: float | None = None

    def __str__(self) -> str:
        outcome = f"outcome in ({', '.join(self.outcomes)})"
        if self.latency_s is None:
            return outcome
        return f"latency <= {print_quantity(self.latency_s, 's')} and {outcome}"


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective of one OpenSLO file; ``target`` is the share of good events, 0 to below 1."""

    name: str
    service: str
    labels: Mapping[str, str]
    good: Good
    target: float
    title: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    source: str = ""

    @property
    def expression(self) -> str:
        """The objective in one line, for people."""
        selector = Selector("good", self.labels)
        return (
            f"slo:{self.name}: {selector} >= {print_quantity(self.target, 'ratio')} ({self.good})"
        )


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """An objective over the run; ``budget_spent`` is 1.0 where the budget is just used up."""

    objective: Objective
    gate: GateResult
    good: int
    total: int
    budget_spent: float | None

    def to_json(self) -> dict[str, object]:
        """Return the result as ``result.json`` holds it."""
        return {
            "id": self.gate.id,
            "name": self.objective.name,
            "title": self.objective.title,
            "service": self.objective.service,
            "labels": dict(self.objective.labels),
            "good_when": str(self.objective.good),
            "target": self.objective.target,
            "value": self.gate.value,
            "good": self.good,
            "bad": self.total - self.good,
            "total": self.total,
            "budget_spent": self.budget_spent,
            "status": str(self.gate.status),
            "message": self.gate.message,
            "annotations": dict(self.objective.annotations),
        }


def parse_good(text: str) -> Good:
    """Return the condition ``latency <= 300ms and outcome in (full, degraded)``.

    Either half may be left out: without outcomes, full and degraded answers are good.

    Raises:
        UsageError: the text is no such condition.
    """
    outcomes: tuple[str, ...] = (Outcome.FULL, Outcome.DEGRADED)
    latency_s: float | None = None
    seen: set[str] = set()
    for part in re.split(r"\s+and\s+", text.strip()):
        latency, outcome = _LATENCY.fullmatch(part), _OUTCOMES.fullmatch(part)
        if latency is not None and "latency" not in seen:
            seen.add("latency")
            latency_s = parse_duration(latency[1])
        elif outcome is not None and "outcome" not in seen:
            seen.add("outcome")
            outcomes = tuple(word.strip() for word in outcome[1].split(","))
        else:
            raise UsageError(
                f"{part!r} is no condition; accepted: latency <= DURATION and "
                "outcome in (full, degraded)"
            )
    for word in outcomes:
        if word not in set(Outcome):
            raise UsageError(unknown_word("outcome", word, list(Outcome)))
    return Good(tuple(str(word) for word in outcomes), latency_s)


def judge_objectives(objectives: Sequence[Objective], data: RunData) -> tuple[ObjectiveResult, ...]:
    """Return the results of all objectives, in their order."""
    return tuple(judge_objective(objective, data) for objective in objectives)


def judge_objective(objective: Objective, data: RunData) -> ObjectiveResult:
    """Return the objective over the whole run.

    An event is a request: retries are no new ones, and a request is good if any attempt was,
    counted from its intended start. Drops are bad, and so is what never ended.
    """
    samples = data.samples.take(label_mask(data.samples, objective.labels))
    dropped = int(np.count_nonzero(label_mask(data.drops, objective.labels)))
    is_good = np.zeros(len(samples), dtype=np.bool_)
    for outcome in objective.good.outcomes:
        is_good |= samples.outcome.equal(outcome)
    if objective.good.latency_s is not None:
        # NaN, the response time of what never ended, compares false.
        is_good &= samples.response_time_s <= objective.good.latency_s
    total = int(np.count_nonzero(samples.attempt <= 1)) + dropped
    good = int(np.count_nonzero(is_good))
    spent = (total - good) / ((1 - objective.target) * total) if total else None
    return ObjectiveResult(
        objective, _gate_result(objective, data, good, total, spent), good, total, spent
    )


def _gate_result(
    objective: Objective, data: RunData, good: int, total: int, spent: float | None
) -> GateResult:
    target = format_ratio(objective.target)
    if not total or spent is None:
        status, value = Status.NO_DATA, None
        message = f"no request is within {objective.name}, so nothing is known of its {target}"
    else:
        value = good / total
        status = Status.PASS if value >= objective.target else Status.FAIL
        message = (
            f"{format_ratio(value)} of {total} were good, target {target}; "
            f"{format_ratio(spent)} of this run's error budget spent"
        )
    return GateResult(
        id=f"slo:{objective.name}",
        expression=objective.expression,
        status=status,
        value=value,
        limit=objective.target,
        n=total,
        window=data.run,
        message=message,
    )
