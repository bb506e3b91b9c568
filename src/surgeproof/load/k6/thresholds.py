"""Gates of the plan as thresholds of k6, as far as k6 can say them.

k6's word on them is never the verdict: it judges the whole run only, counts from the moment it
sends, and passes what matched nothing. It is journalled beside ours, to be compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from surgeproof.errors import FormatError
from surgeproof.load.k6.options import SCENARIO
from surgeproof.load.schedule import Schedule
from surgeproof.model.plan import Gate

__all__ = ["Carried", "Thresholds", "carry_gates", "thresholds_beside"]

_FILE = "k6-thresholds.json"
_SENT = "k6 counts from the moment it sends, without waiting, dialling and handshakes"
_FAILED = "k6 counts shed answers as failed, and drops not at all"
_JUDGED = "k6 counts what send() and judge() said, and drops not at all"
_TAGS = ("name", "method", "phase")


@dataclass(frozen=True, slots=True)
class Carried:
    """One gate as a threshold: ``metric`` is k6's, with its tags; ``differs`` says in what."""

    gate: str
    metric: str
    threshold: str
    differs: str = ""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``left_out`` maps the gates that k6 cannot express to the reason."""

    carried: tuple[Carried, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    def by_metric(self) -> dict[str, list[str]]:
        """Return the thresholds as k6's options have them, each once."""
        found: dict[str, list[str]] = {}
        for each in self.carried:
            wanted = found.setdefault(each.metric, [])
            if each.threshold not in wanted:
                wanted.append(each.threshold)
        return found

    def write(self, folder: Path) -> None:
        """Write them where the driver looks for them: beside its order."""
        (folder / _FILE).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


class _CannotSayError(Exception):
    """Why a gate has no threshold."""


def thresholds_beside(order: Path) -> Thresholds:
    """Return the thresholds written beside an order; none if there are not.

    Raises:
        FormatError: the file holds none.
    """
    path = order.parent / _FILE
    if not path.exists():
        return Thresholds()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Thresholds(tuple(Carried(**each) for each in data["carried"]), data["left_out"])
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} holds no thresholds: {error!r}") from error


def carry_gates(gates: Sequence[Gate], schedule: Schedule) -> Thresholds:
    """Return the gates as thresholds; the schedule turns rates and shares into counts."""
    carried: list[Carried] = []
    left_out: dict[str, str] = {}
    for gate in gates:
        try:
            carried.append(_carry(gate, schedule))
        except _CannotSayError as error:
            left_out[gate.id] = str(error)
    return Thresholds(tuple(carried), left_out)


def _carry(gate: Gate, schedule: Schedule) -> Carried:
    for word, given in (("over", gate.over_s), ("for", gate.for_s), ("each", gate.each)):
        if given is not None:
            raise _CannotSayError(f"k6 knows no `{word}`")
    tags = {"scenario": SCENARIO, **_tags(gate, schedule)}
    metric, stat = gate.selector.metric, gate.stat
    if metric in ("http.response_time", "http.service_time"):
        limit = f"{gate.op}{gate.value * 1e3:.10g}"
        return Carried(gate.id, _key("http_req_duration", tags), _trend(stat) + limit, _SENT)
    if metric == "http.errors" and stat == "rate":
        threshold = f"rate{gate.op}{gate.value:.10g}"
        return Carried(gate.id, _key("http_req_failed", tags), threshold, _FAILED)
    if metric in ("http.wrong", "http.degraded", "http.shed") and stat == "count":
        outcome = metric.removeprefix("http.")
        if tags.keys() & {"name", "method"}:
            raise _CannotSayError("k6 knows an answer's outcome, but not of which request it was")
        key = _key("surgeproof_outcome", {**tags, "outcome": outcome})
        return Carried(gate.id, key, f"count{gate.op}{gate.value:.10g}", _JUDGED)
    if metric == "http.throughput":
        # k6's own rate is over its whole run, the wait for the start included.
        seconds = _seconds(gate, schedule) if stat == "rate" else 1.0
        count = f"count{gate.op}{gate.value * seconds:.10g}"
        return Carried(gate.id, _key("http_reqs", tags), count)
    if metric == "arrivals.dropped":
        if len(tags) > 1:
            raise _CannotSayError("k6 does not say of which request or phase a dropped one was")
        many = len(schedule) if stat == "rate" else 1
        threshold = f"count{gate.op}{gate.value * many:.10g}"
        return Carried(gate.id, _key("dropped_iterations", tags), threshold)
    raise _CannotSayError(f"k6 has no metric like {metric}: {stat}")


def _tags(gate: Gate, schedule: Schedule) -> dict[str, str]:
    tags: dict[str, str] = {}
    for label, value in gate.selector.labels.items():
        if label not in _TAGS:
            raise _CannotSayError(f"k6 has no tag for the label {label}")
        tags[label] = value
    if gate.during is not None:
        if gate.during not in {phase.name for phase in schedule.phases}:
            raise _CannotSayError(f"k6 knows no window {gate.during}")
        if tags.setdefault("phase", gate.during) != gate.during:
            raise _CannotSayError("k6 has one tag for the phase, and the gate names two")
    return tags


def _key(metric: str, tags: Mapping[str, str]) -> str:
    for value in tags.values():
        if set(value) & set(",\"'"):
            raise _CannotSayError(f"k6 cannot name {value!r}, for its comma or quotes")
    return f"{metric}{{{','.join(f'{tag}:{value}' for tag, value in tags.items())}}}"


def _trend(stat: str) -> str:
    if stat.startswith("p"):
        return f"p({stat[1:]})"
    if stat in ("max", "mean"):
        return {"max": "max", "mean": "avg"}[stat]
    raise _CannotSayError(f"k6 has no {stat} of times")


def _seconds(gate: Gate, schedule: Schedule) -> float:
    during = gate.during or gate.selector.labels.get("phase")
    for phase in schedule.phases:
        if phase.name == during:
            return phase.duration_s
    return schedule.duration_s
