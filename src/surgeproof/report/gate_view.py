"""A judged gate with what a page says about it: its unit, its limit in words and its margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from surgeproof.errors import UsageError
from surgeproof.model.result import GateResult
from surgeproof.model.words import Status
from surgeproof.report.wording import plain, quantity_text, ratio_text
from surgeproof.slo.metrics import unit_of
from surgeproof.slo.notation import parse_gate

__all__ = ["GateView", "failures_first"]

_ORDER = {Status.FAIL: 0, Status.NO_DATA: 1, Status.INCONCLUSIVE: 2, Status.PASS: 3}


@dataclass(frozen=True, slots=True)
class GateView:
    """A gate's result and its notation taken apart; ``op`` is empty if that was not possible."""

    result: GateResult
    metric: str
    stat: str
    op: str
    unit: str  # s | ratio | per_s | count | "" (unknown)
    subject: str  # what the gate looks at, in words: an endpoint's name, or its labels
    during: str  # the window that the notation names; empty for the whole run

    @classmethod
    def of(cls, result: GateResult) -> GateView:
        if result.id.startswith("slo:"):
            name = result.id.removeprefix("slo:")
            return cls(result, "objective", "share", ">=", "ratio", name, "")
        try:
            gate = parse_gate(result.expression, id=result.id)
        except UsageError:
            # The notation of another version: shown as it is written.
            return cls(result, "", "", "", "", result.label, "")
        labels = gate.selector.labels
        subject = labels.get("name") or ", ".join(f"{key} {labels[key]}" for key in labels)
        metric = gate.selector.metric
        return cls(
            result,
            metric,
            gate.stat,
            gate.op,
            unit_of(metric, gate.stat),
            result.label or subject,
            gate.during or "",
        )

    @property
    def name(self) -> str:
        """The gate's id, with the value of ``each`` where it judged several."""
        label = self.result.label
        return f"{self.result.id} [{label}]" if label else self.result.id

    @property
    def where(self) -> str:
        """The window's name, or ``run``."""
        window = self.result.window
        return (window.name if window else "") or self.during or "run"

    @property
    def limit_text(self) -> str:
        return f"{self.op} {quantity_text(self.result.limit, self.unit)}".strip()

    @property
    def value_text(self) -> str:
        return quantity_text(self.result.value, self.unit)

    @property
    def margin(self) -> float | None:
        """How far inside its limit the value is, as a share of what the limit allows.

        Negative is over. What ``errors < 1%`` allows is 1 %, and so does ``yield >= 99%``. None
        without a value, and where there is no share: limits of zero, and equalities.
        """
        value, limit = self.result.value, self.result.limit
        if value is None or limit == 0 or self.op not in {"<", "<=", ">", ">="}:
            return None
        inside = limit - value if self.op.startswith("<") else value - limit
        is_floor_of_share = self.unit == "ratio" and self.op.startswith(">") and limit < 1
        return inside / (1 - limit if is_floor_of_share else abs(limit))

    @property
    def margin_text(self) -> str:
        margin = self.margin
        if margin is None:
            return quantity_text(None, "")
        sign = "+" if margin >= 0 else "\N{MINUS SIGN}"
        return (
            f"{sign}{ratio_text(abs(margin))}"
            if abs(margin) < 10
            else f"{sign}>\N{NO-BREAK SPACE}1000\N{NO-BREAK SPACE}%"
        )

    @property
    def sentence_subject(self) -> str:
        """What was measured, for a sentence: ``p99 response time of GET /v1/feed/home``."""
        words = {
            "http.response_time": "response time",
            "http.service_time": "service time",
            "http.errors": "error",
            "http.wrong": "wrong-answer",
            "http.shed": "shed",
            "http.degraded": "degraded",
            "http.throughput": "throughput",
            "recovery.time": "recovery time",
            "objective": "good answers",
        }
        if not self.op:
            return plain(self.result.id)
        what = words.get(self.metric, self.metric.replace(".", " "))
        if self.stat in {"rate", "count", "share"}:
            text = f"{what} {self.stat}"
        else:
            text = f"{self.stat} {what}"
        text = f"{text} of {plain(self.subject)}" if self.subject else text
        where = self.where
        if where.startswith("fault:"):
            return f"{text} during {plain(where.removeprefix('fault:'))}"
        if where.startswith("recovery:"):
            return f"{text} in the recovery from {plain(where.removeprefix('recovery:'))}"
        return f"{text} in {plain(where)}" if where != "run" else text

    @property
    def draws_limit(self) -> bool:
        """Whether the limit is a response time that a chart of quantiles can show as a line."""
        return self.metric == "http.response_time" and self.stat.startswith("p") and bool(self.op)


def failures_first(gates: Sequence[GateView]) -> tuple[GateView, ...]:
    """Return the gates with failures first, then by how thin the margin is, then by id."""

    def key(gate: GateView) -> tuple[int, float, str]:
        margin = gate.margin
        return _ORDER[gate.result.status], 1e9 if margin is None else margin, gate.name

    return tuple(sorted(gates, key=key))
