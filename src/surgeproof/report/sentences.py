"""The verdict and the findings in words, made from the data alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from surgeproof.model.words import Status
from surgeproof.report.effects import costliest
from surgeproof.report.gate_view import GateView
from surgeproof.report.result_file import RunResult
from surgeproof.report.run import Run
from surgeproof.report.series import Timeline
from surgeproof.report.wording import (
    clip,
    count_text,
    plain,
    plural,
    ratio_text,
    seconds_text,
)
from surgeproof.slo.quantiles import quantile

__all__ = [
    "STATUS_ICONS",
    "STATUS_WORDS",
    "Headline",
    "findings",
    "headline",
    "heatmap_title",
    "timeline_title",
]

STATUS_ICONS = {
    Status.PASS: "✓",
    Status.FAIL: "✕",
    Status.NO_DATA: "?",
    Status.INCONCLUSIVE: "~",
}
STATUS_WORDS = {
    Status.PASS: "pass",
    Status.FAIL: "fail",
    Status.NO_DATA: "no data",
    Status.INCONCLUSIVE: "unsure",
}
_UNTRUSTED = frozenset({"generator_unreliable", "generator_lost", "replay_out_of_tolerance"})


@dataclass(frozen=True, slots=True)
class Headline:
    """The verdict in words; ``tone`` is go, nogo or none."""

    icon: str
    words: str  # GO | NO-GO | NO VERDICT
    rest: str
    tone: str

    def __str__(self) -> str:
        return f"{self.words} — {self.rest}"


def headline(run: Run) -> Headline:
    """Return the verdict of a run; one without a result has none, and says why."""
    result = run.result
    if result is None:
        rest = "the run ended before it was judged; this page shows what it recorded until then"
        return Headline("?", "NO VERDICT", rest, "none")
    icon = STATUS_ICONS[result.status]
    tone = {Status.PASS: "go", Status.FAIL: "nogo"}.get(result.status, "none")
    return Headline(icon, result.words, _tally(result), tone)


def findings(run: Run) -> tuple[str, ...]:
    """Return three sentences: the gate that decides, the costliest fault, load and margin."""
    result = run.result
    if result is None:
        return (_seen_so_far(run),)
    sentences = (_worst_gate(result), _worst_fault(result), _load(result))
    return tuple(sentence for sentence in sentences if sentence)


def timeline_title(run: Run, timeline: Timeline) -> str:
    """Return the finding of the hero chart."""
    p99 = timeline.p99_s
    finite = np.isfinite(p99)
    if not finite.any():
        return "No request was answered"
    at = int(np.argmax(np.where(finite, p99, -1.0)))
    start_s, end_s = timeline.quantile_edges_s[at], timeline.quantile_edges_s[at + 1]
    during = [
        plain(fault.name)
        for fault in run.faults
        if (window := run.fault_window(fault)) is not None
        and window.start_s <= (start_s + end_s) / 2 < window.end_s
    ]
    where = f", during {' and '.join(during)}" if during else ", with no fault in force"
    return f"p99 peaked at {seconds_text(float(p99[at]))}, {start_s:.0f} to {end_s:.0f} s{where}"


def heatmap_title(run: Run) -> str:
    """Return the finding of the heatmap; there must be an answer."""
    times_s = run.samples.response_time_s[~np.isnan(run.samples.end_s)]
    half, most = quantile(times_s, 0.5), quantile(times_s, 0.99)
    return (
        f"Half of all answers came within {seconds_text(half)}, "
        f"one in a hundred took {seconds_text(most)} or longer"
    )


def _tally(result: RunResult) -> str:
    counts = Counter(gate.result.status for gate in result.gates)
    total = len(result.gates)
    unjudged = counts[Status.NO_DATA] + counts[Status.INCONCLUSIVE]
    parts = []
    if not total:
        parts.append("no gate was asked")
    elif counts[Status.PASS] == total:
        parts.append("the one gate held" if total == 1 else f"all {count_text(total)} gates held")
    else:
        if counts[Status.FAIL]:
            parts.append(f"{counts[Status.FAIL]} of {plural(total, 'gate')} failed")
        if unjudged:
            which = "" if counts[Status.FAIL] else f" of {plural(total, 'gate')}"
            parts.append(f"{unjudged}{which} could not be judged")
    codes = {reason.code for reason in result.reasons}
    others = [
        reason
        for reason in result.reasons
        if not reason.code.startswith("gate_") and reason.code not in {"no_gates", "no_samples"}
    ]
    if codes & _UNTRUSTED:
        parts.append("but the measurement cannot be trusted")
    elif others and result.status is not Status.PASS:
        joined = "but " if counts[Status.PASS] == total and total else ""
        parts.append(joined + clip(others[0].message or others[0].code.replace("_", " "), 110))
    return ", ".join(parts)


def _worst_gate(result: RunResult) -> str:
    if not result.gates:
        return "The plan has no gates, so nothing was asked and nothing is answered."
    worst = result.gates[0]
    status = worst.result.status
    if status in {Status.NO_DATA, Status.INCONCLUSIVE}:
        return f"{_capital(worst.sentence_subject)} could not be judged: {_message(worst)}."
    if status is Status.FAIL:
        if worst.result.value is None or not worst.op:
            return f"{_capital(plain(worst.name))} failed: {_message(worst)}."
        over = f" by {ratio_text(-worst.margin)}" if worst.margin and worst.margin > -10 else ""
        return (
            f"{_capital(worst.sentence_subject)} was {worst.value_text} "
            f"and missed its limit ({worst.limit_text}){over}."
        )
    margins = [gate for gate in result.gates if gate.margin is not None]
    if not margins:
        return "Every gate held."
    tightest = min(margins, key=lambda gate: gate.margin or 0.0)
    return (
        f"The tightest gate was the {tightest.sentence_subject}: {tightest.value_text}, "
        f"{ratio_text(tightest.margin)} inside its limit ({tightest.limit_text})."
    )


def _worst_fault(result: RunResult) -> str:
    cost = costliest(result.degradation)
    if cost is None:
        return "" if result.faults else "No fault was planned, so nothing is known of faults."
    row = cost.row
    fault = next((fault for fault in result.faults if fault.name == row.fault), None)
    name = plain(row.fault)
    if fault is not None and fault.kind:
        name += f" ({plain(fault.kind)} on {plain(fault.edge)})"
    if not cost.hurts:
        return f"No fault left a mark on any endpoint; the one seen most was {name}."
    before, during = seconds_text(row.before.p99_s), seconds_text(row.during.p99_s)
    parts = [f"p99 of {plain(row.endpoint)} went from {before} to {during}"]
    shares = [
        f"{ratio_text(ratio)} {words}"
        for ratio, words in (
            (row.during.error_ratio, "failed"),
            (row.during.shed_ratio, "were shed"),
            (row.during.degraded_ratio, "were degraded"),
        )
        if ratio and ratio >= 0.0005
    ]
    if shares:
        parts.append(f"of its answers {', '.join(shares)}")
    return f"{_capital(name)} cost most: {', '.join(parts)}; {_recovered(result, row.fault)}."


def _recovered(result: RunResult, fault: str) -> str:
    for recovery in result.recovery:
        if recovery.fault == fault:
            if recovery.time_s is not None:
                return f"recovered {seconds_text(recovery.time_s)} after it ended"
            return f"not recovered within {seconds_text(recovery.censored_s)} of its end"
    return "recovery was not watched"


def _load(result: RunResult) -> str:
    arrivals = result.arrivals
    dropped = count_text(arrivals.dropped) if arrivals.dropped else "none"
    total = sum(sum(endpoint.outcomes.values()) for endpoint in result.endpoints)
    full = sum(endpoint.outcomes.get("full", 0) for endpoint in result.endpoints)
    degraded = sum(endpoint.outcomes.get("degraded", 0) for endpoint in result.endpoints)
    text = (
        f"Of {plural(arrivals.scheduled, 'scheduled arrival')} {count_text(arrivals.sent)} were "
        f"sent ({count_text(arrivals.late)} late) and {dropped} dropped"
    )
    if total:
        partly = ratio_text(degraded / total) if degraded else "none"
        text += f"; {ratio_text(full / total)} of requests were answered in full, {partly} degraded"
    held = [
        gate.margin
        for gate in result.gates
        if gate.result.status is Status.PASS and gate.margin is not None
    ]
    if result.status is Status.FAIL and held:
        text += f"; the gates that held have at least {ratio_text(min(held))} to spare"
    return text + "."


def _seen_so_far(run: Run) -> str:
    if not len(run.samples):
        return "No request was recorded before the run ended."
    return (
        f"{plural(len(run.samples), 'request')} and {plural(len(run.drops), 'dropped arrival')} "
        f"were recorded in {seconds_text(run.end_s)} before the run ended; no gate was judged."
    )


def _message(gate: GateView) -> str:
    return plain(gate.result.message).rstrip(".") or "no reason was recorded"


def _capital(text: str) -> str:
    # A name or a quantile keeps its own spelling: only a plain word takes a capital.
    first = text.partition(" ")[0]
    return text[0].upper() + text[1:] if first.isalpha() and first.islower() else text
