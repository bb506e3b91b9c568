"""The notation of gates: one line that says what must hold.

::

    gate     = selector ":" stat op value ["during" span] [("over" | "for") duration]
               ["each" label]
    selector = metric ["{" label ("=" | ":") word {"," label ("=" | ":") word} "}"]
    stat     = "p" number | "max" | "mean" | "rate" | "count"
    op       = "<" | "<=" | ">" | ">=" | "=="            ("==" for counts only)
    value    = duration | percentage | rate "/s" | whole number
    span     = phase name | "fault:" name | "recovery:" name

``: stat`` may be left out where the metric has but one: ``ledger.lost == 0``. Words with
spaces, commas or braces are in double quotes. `print_gate` writes the one canonical form.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

from surgeproof.errors import UsageError
from surgeproof.model.plan import Gate, Selector
from surgeproof.slo.metrics import METRICS, Metric, accepts_stat, unit_of
from surgeproof.slo.nearest import unknown_word
from surgeproof.units import parse_duration, parse_rate, parse_ratio

__all__ = ["parse_gate", "print_gate", "print_quantity"]

_SPACE = re.compile(r"\s*")
_METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_LABEL = re.compile(r"[A-Za-z_]+")
_QUOTED = re.compile(r'"([^"]*)"')
_BARE = re.compile(r'[^\s{},"]+')
_STAT = re.compile(r"p\((?P<bracketed>[0-9.]+)\)|[A-Za-z]+[0-9.]*")
_OP = re.compile(r"<=|>=|===?|!=|<|>|=")
_VALUE = re.compile(r"[+-]?[0-9][0-9.]*(?:[A-Za-z%/][A-Za-z%/0-9.]*)?")
_WORD = re.compile(r"\S+")
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,7})?)")
_OPS = ("<", "<=", ">", ">=", "==")
_SPAN = re.compile(r"(?:(?:fault|recovery):)?[A-Za-z0-9._-]+")


class _Scanner:
    """A position in the gate's text; every complaint says where it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.take(_SPACE)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Consume what ``pattern`` matches here, and the space behind it."""
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
            if pattern is not _SPACE:
                self.take(_SPACE)
        return match

    def literal(self, sign: str) -> bool:
        return self.take(re.compile(re.escape(sign))) is not None

    def need(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        match = self.take(pattern)
        if match is None:
            rest = self.text[self.at :].strip()
            found = f"found {rest!r}" if rest else "the text ends"
            raise self.complaint(f"{what} is expected, {found}")
        return match

    def complaint(self, message: str, at: int | None = None) -> UsageError:
        column = (self.at if at is None else at) + 1
        return UsageError(f"{message} (at sign {column} of {self.text!r})")


def parse_gate(text: str, *, id: str, source: str = "", implicit: bool = False) -> Gate:  # noqa: A002
    """Return the gate that ``text`` says, its value in base units.

    Names of endpoints, phases and faults are not looked up here: the plan knows them.

    Raises:
        UsageError: the text is no gate; the message says where and what is accepted.
    """
    scanner = _Scanner(text)
    metric, selector = _selector(scanner)
    stat = _stat(scanner, metric)
    op = _operator(scanner, stat)
    value = _value(scanner, metric, stat)
    gate = Gate(id, "", selector, stat, op, value, source=source, implicit=implicit)
    gate = _clauses(scanner, metric, gate)
    return replace(gate, expression=print_gate(gate))


def _selector(scanner: _Scanner) -> tuple[Metric, Selector]:
    at = scanner.at
    name = scanner.need(_METRIC, "a metric")[0]
    if name not in METRICS:
        raise scanner.complaint(unknown_word("metric", name, METRICS), at)
    metric = METRICS[name]
    labels: dict[str, str] = {}
    if scanner.literal("{"):
        while not scanner.literal("}"):
            at = scanner.at
            label = scanner.need(_LABEL, "a label or '}'")[0]
            if label not in metric.labels:
                raise scanner.complaint(unknown_word(f"label of {name}", label, metric.labels), at)
            if label in labels:
                raise scanner.complaint(f"label {label!r} is there twice", at)
            if not scanner.literal("=") and not scanner.literal(":"):
                raise scanner.complaint(f"'=' is expected after label {label!r}")
            quoted = scanner.take(_QUOTED)
            labels[label] = quoted[1] if quoted else scanner.need(_BARE, "a value")[0]
            if not scanner.literal(",") and not scanner.text.startswith("}", scanner.at):
                raise scanner.complaint(
                    "',' or '}' is expected; a value with spaces, commas or braces is quoted"
                )
    return metric, Selector(name, labels)


def _stat(scanner: _Scanner, metric: Metric) -> str:
    if not scanner.literal(":"):
        if len(metric.stats) == 1 and _OP.match(scanner.text, scanner.at):
            return metric.stats[0]
        raise scanner.complaint(f"':' and one of {', '.join(metric.stats)} are expected")
    at = scanner.at
    match = scanner.need(_STAT, f"one of {', '.join(metric.stats)}")
    stat = f"p{match['bracketed']}" if match["bracketed"] else match[0]
    if not accepts_stat(metric, stat):
        raise scanner.complaint(unknown_word(f"statistic of {metric.name}", stat, metric.stats), at)
    if stat.startswith("p"):
        number = _QUANTILE.fullmatch(stat)
        if number is None or not Decimal(number[1]):
            raise scanner.complaint(f"no quantile {stat!r}; accepted: p50, p95, p99, p99.9 …", at)
        digits = number[1]
        stat = "p" + (digits.rstrip("0").rstrip(".") if "." in digits else digits)
    return stat


def _operator(scanner: _Scanner, stat: str) -> str:
    at = scanner.at
    op = scanner.need(_OP, f"one of {', '.join(_OPS)}")[0]
    if op not in _OPS:
        raise scanner.complaint(f"unknown operator {op!r}; accepted: {', '.join(_OPS)}", at)
    if op == "==" and stat != "count":
        raise scanner.complaint(
            f"'==' is for counts, and {stat} is measured; accepted: <, <=, >, >=", at
        )
    return op


def _value(scanner: _Scanner, metric: Metric, stat: str) -> float:
    at = scanner.at
    text = scanner.need(_VALUE, "a value")[0].strip()
    unit = unit_of(metric.name, stat)
    try:
        value = _quantity(text, unit)
    except UsageError as error:
        raise scanner.complaint(str(error), at) from error
    if unit == "ratio" and not 0 <= value <= 1:
        raise scanner.complaint(f"{text!r} is no share; accepted: 0% to 100%", at)
    return value


def _quantity(text: str, unit: str) -> float:
    if unit == "s":
        return parse_duration(text)
    if unit == "ratio":
        return parse_ratio(text)
    if unit == "per_s":
        return parse_rate(text)
    if not re.fullmatch(r"\d+", text):
        raise UsageError(f"{text!r} is no count; accepted: a whole number, 0 or more")
    return float(text)


def _clauses(scanner: _Scanner, metric: Metric, gate: Gate) -> Gate:
    seen: set[str] = set()
    while scanner.at < len(scanner.text):
        at = scanner.at
        word = scanner.need(_WORD, "a clause")[0]
        if word not in ("during", "over", "for", "each"):
            raise scanner.complaint(unknown_word("clause", word, ("during", "over", "for", "each")))
        # `over` and `for` are two ways to look at time: a gate has one of them at most.
        kind = "over or for" if word in ("over", "for") else word
        if kind in seen:
            raise scanner.complaint(f"a gate has {kind} once at most", at)
        if word != "each" and not metric.has_time:
            raise scanner.complaint(f"{metric.name} is one number of the whole run: no {word}", at)
        seen.add(kind)
        gate = _clause(scanner, metric, gate, word)
    return gate


def _clause(scanner: _Scanner, metric: Metric, gate: Gate, word: str) -> Gate:
    at = scanner.at
    if word == "during":
        span = scanner.need(_WORD, "a phase, fault:NAME or recovery:NAME")[0]
        if not _SPAN.fullmatch(span):
            raise scanner.complaint(
                f"no span {span!r}; accepted: a phase's name, fault:NAME or recovery:NAME", at
            )
        return replace(gate, during=span)
    if word == "each":
        label = scanner.need(_WORD, f"one of {', '.join(metric.labels)}")[0]
        labels = [known for known in metric.labels if known != "outcome"]
        if label not in labels:
            raise scanner.complaint(unknown_word(f"label of {metric.name}", label, labels), at)
        return replace(gate, each=label)
    text = scanner.need(_WORD, "a duration")[0]
    try:
        length_s = parse_duration(text)
    except UsageError as error:
        raise scanner.complaint(str(error), at) from error
    if length_s < 1 or not length_s.is_integer():
        # Windows move, and rows are counted, in steps of one second.
        raise scanner.complaint(f"{word} {text} is no whole number of seconds, 1s or more", at)
    return replace(gate, over_s=length_s) if word == "over" else replace(gate, for_s=length_s)


def print_gate(gate: Gate) -> str:
    """Return the gate in its canonical form, which `parse_gate` reads back to the same gate."""
    value = print_quantity(gate.value, unit_of(gate.selector.metric, gate.stat))
    parts = [f"{gate.selector}: {gate.stat} {gate.op} {value}"]
    if gate.during is not None:
        parts.append(f"during {gate.during}")
    if gate.over_s is not None:
        parts.append(f"over {print_quantity(gate.over_s, 's')}")
    if gate.for_s is not None:
        parts.append(f"for {print_quantity(gate.for_s, 's')}")
    if gate.each is not None:
        parts.append(f"each {gate.each}")
    return " ".join(parts)


def print_quantity(value: float, unit: str) -> str:
    """Return a value in the notation, without any loss: ``400ms``, ``0.1%``, ``30/s`` or ``0``."""
    exact = Decimal(repr(float(value)))
    if unit == "s":
        return f"{_plain(exact * 1000)}ms" if 0 < value < 1 else f"{_plain(exact)}s"
    if unit == "ratio":
        return f"{_plain(exact * 100)}%"
    if unit == "per_s":
        return f"{_plain(exact)}/s"
    return _plain(exact)


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
