"""Gates judged: what was measured, over which window, and the reason in words."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from surgeproof.model.plan import Gate, Selector, Window
from surgeproof.model.result import GateResult, LedgerCounts
from surgeproof.model.words import Status
from surgeproof.slo.measure import Series, series_of
from surgeproof.slo.metrics import unit_of
from surgeproof.slo.notation import parse_gate, print_quantity
from surgeproof.slo.quantiles import finite_or_none, minimum_samples
from surgeproof.slo.run_data import RunData
from surgeproof.slo.select import label_values
from surgeproof.units import format_duration, format_ratio

__all__ = ["RunData", "holds", "implicit_gates", "judge", "judge_all"]

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}


@dataclass(frozen=True, slots=True)
class _Finding:
    """What judging came to, before it is put into words."""

    status: Status
    value: float | None
    n: int
    why: str
    window: Window | None = None
    first_breach_s: float | None = None


def holds(gate: Gate, value: float) -> bool:
    """Return whether ``value op limit`` holds."""
    return _OPERATORS[gate.op](value, gate.value)


def implicit_gates(ledger_kinds: Sequence[str]) -> tuple[Gate, ...]:
    """Return the gates that every plan with a ledger has: nothing lost, nothing duplicated."""
    return tuple(
        parse_gate(
            f'ledger.{fate}{{kind="{kind}"}}: count == 0',
            id=f"ledger.{fate}:{kind}",
            source="implicit",
            implicit=True,
        )
        for kind in ledger_kinds
        for fate in ("lost", "duplicated")
    )


def judge_all(gates: Sequence[Gate], data: RunData) -> tuple[GateResult, ...]:
    """Return the results of all gates, in their order."""
    return tuple(result for gate in gates for result in judge(gate, data))


def judge(gate: Gate, data: RunData) -> list[GateResult]:
    """Return one result, or with ``each LABEL`` one per value of the label.

    ``value`` is None where nothing was measured or it is infinite (requests that never ended).
    ``first_breach_s`` is the start of the first second, or rolling window, that breaches by
    itself. A quantile of fewer samples than `minimum_samples` is inconclusive, never a pass.
    """
    if gate.each is None:
        return [_judge_one(gate, data, "")]
    values = _each_values(gate, data)
    if not values:
        finding = _Finding(Status.NO_DATA, None, 0, f"the run has no {gate.each} at all")
        return [_result(gate, finding, "")]
    return [_judge_one(_narrowed(gate, value), data, value) for value in values]


def _each_values(gate: Gate, data: RunData) -> list[str]:
    label = gate.each or ""
    fixed = gate.selector.labels.get(label)
    if fixed is not None:
        return [fixed]
    if label == "phase":
        return [phase.name for phase in data.phases]
    if label == "fault":
        return sorted(data.recoveries)
    if label == "kind":
        return sorted(data.ledger)
    present = label_values(data.samples, label) | label_values(data.drops, label)
    if label == "name":
        # An endpoint that was never called is a finding (no data) and must not just be missing.
        present |= {endpoint.name for endpoint in data.endpoints}
    return sorted(present)


def _narrowed(gate: Gate, value: str) -> Gate:
    labels = {**gate.selector.labels, gate.each or "": value}
    return replace(gate, selector=Selector(gate.selector.metric, labels))


def _judge_one(gate: Gate, data: RunData, label: str) -> GateResult:
    if gate.selector.metric == "recovery.time":
        return _result(gate, _judge_recovery(gate, data), label)
    if gate.selector.metric.startswith("ledger."):
        return _result(gate, _judge_ledger(gate, data.ledger), label)
    window = data.window(gate.during)
    if window is None:
        finding = _Finding(Status.NO_DATA, None, 0, f"the run had no {gate.during}")
        return _result(gate, finding, label)
    series = series_of(gate.selector, gate.stat, data)
    if gate.over_s is not None:
        finding = _judge_rolling(gate, series, window, gate.over_s)
    elif gate.for_s is not None:
        finding = _judge_lasting(gate, series, window, int(gate.for_s))
    else:
        finding = _judge_whole(gate, series, window)
    return _result(gate, replace(finding, window=finding.window or window), label)


def _judge_whole(gate: Gate, series: Series, window: Window) -> _Finding:
    measured = series.measure(window.start_s, window.end_s)
    if measured.value is None or not measured.n:
        return _no_data(gate)
    too_few = _too_few(gate, measured.n)
    if too_few:
        return _Finding(Status.INCONCLUSIVE, measured.value, measured.n, too_few)
    if holds(gate, measured.value):
        return _Finding(Status.PASS, measured.value, measured.n, "")
    first = next(
        (start for start, value in _seconds(series, window) if _breaches(gate, value)), None
    )
    return _Finding(Status.FAIL, measured.value, measured.n, "", first_breach_s=first)


def _judge_rolling(gate: Gate, series: Series, window: Window, length_s: float) -> _Finding:
    """Judge each stretch of ``length_s`` in steps of 1 s; the worst one's value is reported."""
    steps = math.floor(window.duration_s - length_s + 1e-9) + 1
    if steps < 1:
        why = f"the window lasted {format_duration(window.duration_s)}, and one of "
        return _Finding(
            Status.INCONCLUSIVE, None, 0, why + f"{format_duration(length_s)} is looked for"
        )
    if not series.measure(window.start_s, window.end_s).n:
        return _no_data(gate)
    worst: _Finding | None = None
    first_breach_s: float | None = None
    unjudged = 0
    for step in range(steps):
        start_s = window.start_s + step
        measured = series.measure(start_s, start_s + length_s)
        if measured.value is None or _too_few(gate, measured.n):
            unjudged += 1
            continue
        if worst is None or _is_worse(gate, measured.value, worst.value or 0.0):
            stretch = Window(window.name, start_s, start_s + length_s)
            worst = _Finding(Status.PASS, measured.value, measured.n, "", stretch)
        if first_breach_s is None and not holds(gate, measured.value):
            first_breach_s = start_s
    if worst is None:
        why = f"none of the {steps} windows of {format_duration(length_s)} has enough samples"
        return _Finding(Status.INCONCLUSIVE, None, 0, why)
    if first_breach_s is not None:
        return replace(worst, status=Status.FAIL, first_breach_s=first_breach_s)
    if unjudged and gate.quantile is not None:
        why = f"{unjudged} of {steps} windows of {format_duration(length_s)} have too few samples"
        return replace(worst, status=Status.INCONCLUSIVE, why=why)
    return worst


def _judge_lasting(gate: Gate, series: Series, window: Window, length: int) -> _Finding:
    """Judge whole seconds: breached only where ``length`` of them in a row breach."""
    if math.floor(window.duration_s + 1e-9) < length:
        why = f"the window lasted {format_duration(window.duration_s)}, less than {length}s"
        return _Finding(Status.INCONCLUSIVE, None, 0, why)
    measured = series.measure(window.start_s, window.end_s)
    if measured.value is None or not measured.n:
        return _no_data(gate)
    too_few = _too_few(gate, measured.n)
    if too_few:
        return _Finding(Status.INCONCLUSIVE, measured.value, measured.n, too_few)
    row = 0
    for start_s, value in _seconds(series, window):
        row = row + 1 if _breaches(gate, value) else 0
        if row == length:
            first = start_s + 1 - length
            why = f"breached in each of {length} seconds in a row"
            return _Finding(Status.FAIL, measured.value, measured.n, why, first_breach_s=first)
    return _Finding(Status.PASS, measured.value, measured.n, "")


def _seconds(series: Series, window: Window) -> Iterator[tuple[float, float | None]]:
    for second in range(math.floor(window.duration_s + 1e-9)):
        start_s = window.start_s + second
        yield start_s, series.measure(start_s, start_s + 1).value


def _breaches(gate: Gate, value: float | None) -> bool:
    # A second without data breaches nothing: its neighbours say more than a guess would.
    return value is not None and not holds(gate, value)


def _is_worse(gate: Gate, value: float, than: float) -> bool:
    if gate.op == "==":
        return abs(value - gate.value) > abs(than - gate.value)
    return value > than if gate.op in ("<", "<=") else value < than


def _too_few(gate: Gate, n: int) -> str:
    share = gate.quantile
    if share is None or n >= minimum_samples(share):
        return ""
    return f"{gate.stat} needs {minimum_samples(share)} samples"


def _no_data(gate: Gate) -> _Finding:
    return _Finding(Status.NO_DATA, None, 0, f"nothing was measured for {gate.selector}")


def _judge_recovery(gate: Gate, data: RunData) -> _Finding:
    name = gate.selector.labels.get("fault")
    chosen = [found for fault, found in data.recoveries.items() if name in (None, fault)]
    if not chosen:
        return _Finding(Status.NO_DATA, None, 0, f"no recovery from {name or 'any fault'} was seen")
    # Censored times are known to be longer than what was watched: enough to fail a gate at or
    # below that, and not enough to pass any.
    worst = max(chosen, key=lambda found: _at_least(found.time_s, found.censored_s))
    watched = _at_least(worst.time_s, worst.censored_s)
    censored = [found for found in chosen if found.time_s is None]
    if not holds(gate, watched) and gate.op in ("<", "<="):
        why = f"not recovered within {format_duration(watched)}" if worst.time_s is None else ""
        return _Finding(Status.FAIL, worst.time_s, len(chosen), why, worst.window)
    if any(_is_open(gate, found.censored_s or 0.0) for found in censored):
        names = ", ".join(found.fault for found in censored)
        why = f"not recovered from {names} while it was watched ({format_duration(watched)})"
        return _Finding(Status.INCONCLUSIVE, None, len(chosen), why, worst.window)
    status = Status.PASS if holds(gate, watched) else Status.FAIL
    return _Finding(status, worst.time_s, len(chosen), "", worst.window)


def _at_least(time_s: float | None, censored_s: float | None) -> float:
    return time_s if time_s is not None else (censored_s or 0.0)


def _is_open(gate: Gate, censored_s: float) -> bool:
    # `recovery.time: max > 5s` is settled once more than 5 s were watched in vain.
    return gate.op in ("<", "<=") or not holds(gate, censored_s)


def _judge_ledger(gate: Gate, ledger: Mapping[str, LedgerCounts]) -> _Finding:
    kind = gate.selector.labels.get("kind")
    chosen = [counts for name, counts in ledger.items() if kind in (None, name)]
    acked = sum(counts.acked for counts in chosen)
    if not chosen or not acked:
        why = f"no write of kind {kind or 'any'} was acknowledged"
        return _Finding(Status.INCONCLUSIVE, None, 0, why)
    is_lost = gate.selector.metric == "ledger.lost"
    value = sum(counts.lost if is_lost else counts.duplicated for counts in chosen)
    keys = [key for c in chosen for key in (c.lost_keys if is_lost else c.duplicated_keys)]
    unread = sum(counts.unread for counts in chosen)
    if not holds(gate, value):
        return _Finding(Status.FAIL, float(value), acked, f"keys: {', '.join(keys[:3])}")
    if unread:
        why = f"{unread} of {acked} acknowledged writes could not be read back"
        return _Finding(Status.INCONCLUSIVE, float(value), acked, why)
    return _Finding(Status.PASS, float(value), acked, "")


def _result(gate: Gate, finding: _Finding, label: str) -> GateResult:
    return GateResult(
        id=gate.id,
        expression=gate.expression,
        status=finding.status,
        value=None if finding.value is None else finite_or_none(finding.value),
        limit=gate.value,
        n=finding.n,
        window=finding.window,
        message=_in_words(gate, finding),
        label=label,
        first_breach_s=finding.first_breach_s,
    )


def _in_words(gate: Gate, finding: _Finding) -> str:
    unit = unit_of(gate.selector.metric, gate.stat)
    limit = f"{gate.op} {print_quantity(gate.value, unit)}"
    subject = f"{gate.stat} of {gate.selector}"
    if finding.value is None:
        return f"{subject}, limit {limit}: {finding.why}"
    parts = [f"{subject} was {_shown(finding.value, unit)}, limit {limit}", f"n = {finding.n}"]
    if finding.window is not None:
        start, end = finding.window.start_s, finding.window.end_s
        parts.append(f"{finding.window.name} {start:.1f}s to {end:.1f}s")
    if finding.first_breach_s is not None:
        parts.append(f"first breached at {finding.first_breach_s:.1f}s")
    if finding.why:
        parts.append(finding.why)
    return "; ".join(parts)


def _shown(value: float, unit: str) -> str:
    if math.isinf(value):
        return "endless (requests that never ended)"
    if unit == "s":
        return format_duration(value)
    if unit == "ratio":
        return format_ratio(value)
    return f"{value:.3f}".rstrip("0").rstrip(".") + ("/s" if unit == "per_s" else "")
