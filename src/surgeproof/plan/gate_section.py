"""The ``gates`` and ``guards`` of a plan, checked against all that they could ever match."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from surgeproof.errors import UsageError
from surgeproof.load.schedule import Schedule
from surgeproof.model.plan import Endpoint, Fault, Gate, Load, Window
from surgeproof.model.words import Outcome
from surgeproof.plan.nodes import Place
from surgeproof.plan.section import Section
from surgeproof.slo.metrics import METRICS
from surgeproof.slo.nearest import unknown_word
from surgeproof.slo.notation import parse_gate
from surgeproof.slo.quantiles import minimum_samples
from surgeproof.slo.select import method_of, route_of
from surgeproof.units import format_duration

__all__ = ["KnownNames", "read_gates"]


@dataclass(frozen=True, slots=True)
class KnownNames:
    """Everything that a gate may refer to. ``load`` or ``schedule`` None could not be made.

    ``faults`` None means that some could not be read, so that a name may well be one of those.
    """

    endpoints: tuple[Endpoint, ...]
    load: Load | None
    faults: tuple[Fault, ...] | None
    ledger_kinds: tuple[str, ...]
    schedule: Schedule | None

    @property
    def requests(self) -> list[str]:
        """The keys of requests: those of the endpoints, and of the mixes if they name requests."""
        names = {endpoint.name: None for endpoint in self.endpoints}
        if self.load is not None and self.load.unit == "request":
            names |= {name: None for mix in self.load.mixes.values() for name in mix}
        return list(names)

    def expected(self, labels: Mapping[str, str]) -> int | None:
        """Return how many requests the schedule has for some labels; None where nobody can know."""
        if self.schedule is None or not self.schedule.is_named:
            return None
        return sum(self.schedule.expected(name) for name in _matching(labels.items(), self))

    def tier_of(self, name: str) -> str:
        return next((str(e.tier) for e in self.endpoints if e.name == name), "")


def read_gates(root: Section, key: str, known: KnownNames) -> tuple[Gate, ...]:
    """Return the gates under ``gates`` or ``guards``, each with an id that says what it is about.

    Guards are judged while the run goes on, so their number of samples is no mistake.
    """
    gates: list[Gate] = []
    for path, place, text in root.texts(key):
        try:
            parsed = parse_gate(text, id="", source=f"{place.file}:{place.line}")
        except UsageError as error:
            root.mistakes.add(place, path, str(error))
            continue
        gate = replace(parsed, id=_unique(_title(parsed), [other.id for other in gates]))
        problems = [*_about_names(gate, known), *_about_span(gate, known)]
        if key == "guards" and gate.during is not None:
            problems.append("a guard watches the whole run; accepted: no during")
        if not problems and key == "gates":
            problems = _about_counts(gate, known)
        _note(root, place, path, problems)
        if not problems:
            gates.append(gate)
    return tuple(gates)


def _title(gate: Gate) -> str:
    """Return a gate's id: stable when gates are added or moved, and short enough for a label."""
    about = " ".join(gate.selector.labels.values())
    metric = gate.selector.metric.removeprefix("http.")
    where = f" @ {gate.during}" if gate.during is not None else ""
    return " ".join(part for part in (metric, gate.stat, about) if part) + where


def _unique(title: str, taken: Sequence[str]) -> str:
    same = sum(other == title or other.startswith(f"{title} #") for other in taken)
    return title if not same else f"{title} #{same + 1}"


def _note(root: Section, place: Place, path: str, problems: Iterable[str]) -> None:
    for problem in problems:
        root.mistakes.add(place, path, problem)


def _about_names(gate: Gate, known: KnownNames) -> list[str]:
    """Return what no sample could ever carry, label by label."""
    problems: list[str] = []
    for label, value in gate.selector.labels.items():
        accepted = _accepted(label, known)
        if accepted is not None and value not in accepted:
            problems.append(unknown_word(label, value, accepted))
    if not problems and not _could_match(gate, known):
        problems.append(f"no request matches all labels of {gate.selector}")
    return problems


def _accepted(label: str, known: KnownNames) -> list[str] | None:
    """Return the values that a label may have, None where nobody can know them."""
    faults = None if known.faults is None else [fault.name for fault in known.faults]
    phases = None if known.load is None else [phase.name for phase in known.load.phases]
    others: dict[str, list[str] | None] = {
        "outcome": [str(outcome) for outcome in Outcome],
        "kind": list(known.ledger_kinds),
        "fault": faults,
        "phase": phases,
        "tier": sorted({str(endpoint.tier) for endpoint in known.endpoints}),
    }
    if label in others:
        return others[label]
    if not known.requests and known.load is None:
        return None
    read: dict[str, Callable[[str], str]] = {"name": str, "route": route_of, "method": method_of}
    return list(dict.fromkeys(read[label](name) for name in known.requests))


def _could_match(gate: Gate, known: KnownNames) -> bool:
    labels = gate.selector.labels
    if not labels.keys() & {"name", "route", "method", "tier"}:
        return True
    return bool(_matching(labels.items(), known))


def _matching(labels: Iterable[tuple[str, str]], known: KnownNames) -> list[str]:
    wanted = dict(labels)
    return [
        name
        for name in known.requests
        if wanted.get("name", name) == name
        and wanted.get("route", route_of(name)) == route_of(name)
        and wanted.get("method", method_of(name)) == method_of(name)
        and wanted.get("tier", known.tier_of(name)) == known.tier_of(name)
    ]


def _about_span(gate: Gate, known: KnownNames) -> list[str]:
    """Return what is wrong with ``during``, and with a window shorter than ``over`` or ``for``."""
    if gate.during is not None:
        kind, colon, name = gate.during.partition(":")
        accepted = _accepted("fault" if colon else "phase", known)
        if accepted is not None and (name if colon else kind) not in accepted:
            return [unknown_word("fault" if colon else "phase", name if colon else kind, accepted)]
    window = _planned_window(gate.during, known)
    length_s = gate.over_s or gate.for_s
    if window is None or length_s is None or window.duration_s >= length_s - 1e-9:
        return []
    lasts = f"{window.name} lasts {format_duration(window.duration_s)} at most"
    return [f"{lasts}, less than the {format_duration(length_s)} that the gate looks at"]


def _planned_window(during: str | None, known: KnownNames) -> Window | None:
    """Return the window as planned, and of a recovery the longest that it can be."""
    if known.load is None:
        return None
    end_s = known.load.duration_s
    if during is None:
        return Window("the run", 0.0, end_s)
    kind, colon, name = during.partition(":")
    if not colon:
        return next((phase.window for phase in known.load.phases if phase.name == kind), None)
    fault = next((fault for fault in known.faults or () if fault.name == name), None)
    if fault is None:
        return None
    if kind == "fault":
        return Window(during, fault.start_s, fault.end_s)
    later = [other.start_s for other in known.faults or () if other.start_s >= fault.end_s]
    return Window(during, fault.end_s, min([end_s, *later]))


def _about_counts(gate: Gate, known: KnownNames) -> list[str]:
    """Return why a gate cannot be judged with the number of requests that the plan sends.

    Nothing is said where the number is not known: without a mix, and for sessions.
    """
    window = _planned_window(gate.during, known)
    if window is None or known.schedule is None or not METRICS[gate.selector.metric].has_time:
        return []
    labels = dict(gate.selector.labels)
    if "outcome" in labels:
        return []
    phase = labels.pop("phase", None)
    if phase is not None:
        inner = _planned_window(phase, known)
        if inner is None:
            return []
        window = Window(
            window.name, max(window.start_s, inner.start_s), min(window.end_s, inner.end_s)
        )
    problems: list[str] = []
    for title, names in _groups(gate, labels, known):
        n = _expected(known.schedule, names, window, gate.over_s)
        problems += _too_few(gate, n, title, window)
    return problems


def _groups(
    gate: Gate, labels: dict[str, str], known: KnownNames
) -> list[tuple[str, list[str] | None]]:
    """Return the requests behind each result of a gate; None stands for all requests."""
    schedule = known.schedule
    if schedule is None or not schedule.is_named:
        return [(str(gate.selector), None)] if not labels and gate.each in (None, "phase") else []
    if gate.each == "name":
        return [(name, [name]) for name in _matching(labels.items(), known)]
    if gate.each == "tier":
        tiers = _accepted("tier", known) or []
        return [(tier, _matching({**labels, "tier": tier}.items(), known)) for tier in tiers]
    if gate.each is not None and gate.each != "phase":
        return []
    return [(str(gate.selector), _matching(labels.items(), known) if labels else None)]


def _expected(
    schedule: Schedule, names: Sequence[str] | None, window: Window, over_s: float | None
) -> int:
    """Return how many requests the window holds, or the emptiest stretch of ``over_s`` in it."""
    stretches = [window]
    if over_s is not None:
        steps = int(window.duration_s - over_s + 1e-9) + 1
        starts = [window.start_s + step for step in range(steps)]
        stretches = [Window(window.name, start_s, start_s + over_s) for start_s in starts]
    wanted: Sequence[str | None] = [None] if names is None else names
    return min(sum(schedule.expected(name, part) for name in wanted) for part in stretches)


def _too_few(gate: Gate, n: int, title: str, window: Window) -> list[str]:
    where = f"{window.name} ({window.start_s:g}s to {window.end_s:g}s)"
    if gate.over_s is not None:
        where = f"the emptiest {format_duration(gate.over_s)} of {where}"
    share = gate.quantile
    if share is not None and n < minimum_samples(share):
        needs = f"{gate.stat} needs {minimum_samples(share)} requests"
        return [f"{needs}, and the schedule has {n} of {title} in {where}"]
    if n == 0 and gate.over_s is None:
        return [f"the schedule has no request of {title} in {where}, so nothing would be judged"]
    return []
