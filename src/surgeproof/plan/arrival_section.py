"""The ``arrivals`` of a phase: its parts, and the files and queries that rates come from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from surgeproof.errors import SurgeproofError
from surgeproof.load.arrivals import (
    ARRIVAL_KINDS,
    COMMON_PARAMETERS,
    MOST_ARRIVALS,
    ArrivalKind,
    Arrivals,
    Parameter,
    validate_part,
)
from surgeproof.model.plan import ArrivalPart, Numbers
from surgeproof.plan.arrival_files import (
    ArrivalFile,
    Columns,
    parse_time,
    read_answer,
    read_recording,
    read_table,
)
from surgeproof.plan.nodes import ListNode, MappingNode, Node, ScalarNode, kind_of
from surgeproof.plan.section import Section
from surgeproof.slo.nearest import unknown_word
from surgeproof.units import parse_duration, parse_rate

__all__ = ["ArrivalReader", "KeptFile"]

# Ten million moments of the calendar, one a line; a longer file would fill the memory first.
_MOST_BYTES = 256 * 2**20
_ASKED = ("url", "query", "start", "end", "step")


@dataclass(frozen=True, slots=True)
class KeptFile:
    """What was read or fetched for the part at ``key`` of the plan, to be kept with the run."""

    key: str
    name: str
    text: str
    sha256: str

    @classmethod
    def of(cls, key: str, suffix: str, text: str) -> KeptFile:
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        return cls(key, f"arrivals-{sha256[:12]}{suffix}", text, sha256)

    def put_into(self, body: dict[str, object]) -> None:
        """Make a part of the effective plan read the kept file, and nothing else."""
        for name in _ASKED:
            body.pop(name, None)
        body.update({"file": self.name, "sha256": self.sha256})


@dataclass(frozen=True, slots=True)
class ArrivalReader:
    """Reads the arrivals of a plan's phases; ``kept`` fills with what the schedule hangs on."""

    plan_file: Path
    kept: list[KeptFile] = field(default_factory=list)

    def read(self, phase: Section, duration_s: float | None) -> tuple[ArrivalPart, ...]:
        """Return the parts of a phase that are right, after noting what is wrong with others."""
        node = phase.get("arrivals", required=True)
        if node is None:
            return ()
        base = phase.key("arrivals")
        if isinstance(node, ListNode):
            listed = [(f"{base}[{index}]", item) for index, item in enumerate(node.items)]
        else:
            listed = [(base, node)]
        if not listed:
            phase.wrong("arrivals", f"is empty; accepted: one of {', '.join(ARRIVAL_KINDS)}")
        read = [self._part(phase, path, item, duration_s) for path, item in listed]
        return tuple(part for part in read if part is not None)

    def _part(
        self, phase: Section, path: str, node: Node, duration_s: float | None
    ) -> ArrivalPart | None:
        mistakes = phase.mistakes
        if not isinstance(node, MappingNode) or len(node.entries) != 1:
            message = (
                f"found {kind_of(node)}, accepted: one of {', '.join(ARRIVAL_KINDS)} with its "
            )
            mistakes.add(node.place, path, message + "parameters")
            return None
        (name, (place, body)) = next(iter(node.entries.items()))
        if name not in ARRIVAL_KINDS:
            mistakes.add(place, path, unknown_word("arrival kind", name, ARRIVAL_KINDS))
            return None
        section = Section(body, f"{path}.{name}", mistakes)
        noted = len(mistakes.found)
        part = self._read(ARRIVAL_KINDS[name], section)
        section.finish()
        if len(mistakes.found) > noted:
            return None
        if duration_s is not None:
            for message in _part_mistakes(part, duration_s):
                mistakes.add(section.place, section.path, message)
        return part

    def _read(self, kind: ArrivalKind, section: Section) -> ArrivalPart:
        numbers: dict[str, float] = {}
        texts: dict[str, str] = {}
        columns: dict[str, Numbers] = {}
        for name, parameter in kind.parameters.items():
            if parameter.unit == "rates":
                columns[name] = _read_rates(section, name)
            elif parameter.unit in {"rate", "duration", "number"}:
                value = _read_number(section, name, parameter)
                numbers.update({} if value is None else {name: value})
            else:
                text = _read_text(section, name, parameter)
                texts.update({} if text is None else {name: text})
        scale = _read_number(section, "scale", COMMON_PARAMETERS["scale"])
        if kind.name in _READERS:
            columns.update(self._data(kind, section, texts, numbers) or {})
        return ArrivalPart(
            kind.name,
            MappingProxyType(numbers),
            MappingProxyType(texts),
            MappingProxyType(columns),
            is_random=_read_random(section, kind),
            scale=1.0 if scale is None else scale,
        )

    def _data(
        self,
        kind: ArrivalKind,
        section: Section,
        texts: Mapping[str, str],
        numbers: dict[str, float],
    ) -> Columns | None:
        """Return the columns of a file or of a query, and keep what they were read from."""
        step_s = numbers.pop("step", None)
        if kind.name == "prometheus" and "file" not in texts:
            text, name = _fetch(section, texts, step_s), f"{section.path}"
            suffix = ".json"
        else:
            if kind.name == "prometheus" and (asked := [n for n in _ASKED if section.get(n)]):
                section.wrong(asked[0], "stands beside a file; accepted: a file, or a query")
                return None
            path = section.file("file", self.plan_file, required=True)
            text, name = (None, "") if path is None else (_text_of(section, path), str(path))
            suffix = "" if path is None else path.suffix
        if text is None:
            return None
        kept = KeptFile.of(section.path, suffix, text)
        if texts.get("sha256", kept.sha256) != kept.sha256:
            message = f"the file has changed: it is {kept.sha256} now; accepted: that, or no sha256"
            section.wrong("sha256", message)
            return None
        self.kept.append(kept)
        file = ArrivalFile(name, text.removeprefix("\ufeff"), section.key("file"), section.mistakes)
        return _READERS[kind.name](file, texts)


def _recording(file: ArrivalFile, texts: Mapping[str, str]) -> Columns | None:
    return read_recording(file, texts.get("column"))


def _table(file: ArrivalFile, texts: Mapping[str, str]) -> Columns | None:
    return read_table(file, texts.get("time"), texts.get("rate"))


def _answer(file: ArrivalFile, _texts: Mapping[str, str]) -> Columns | None:
    return read_answer(file)


_READERS = MappingProxyType({"recorded": _recording, "csv": _table, "prometheus": _answer})


def _part_mistakes(part: ArrivalPart, duration_s: float) -> list[str]:
    mistakes = validate_part(part, duration_s)
    if mistakes:
        return mistakes
    count = Arrivals((part,), duration_s).expected(0.0, duration_s)
    if count > MOST_ARRIVALS:
        most = f"{MOST_ARRIVALS:,}"
        return [f"makes {count:.3g} arrivals; accepted: {most} at most, in all phases together"]
    return []


def _read_number(section: Section, name: str, parameter: Parameter) -> float | None:
    if parameter.unit == "rate":
        return section.parsed(name, parse_rate, required=parameter.required)
    if parameter.unit == "duration":
        return section.parsed(name, parse_duration, required=parameter.required)
    node = section.get(name, required=parameter.required)
    if node is None:
        return None
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    section.wrong(name, f"found {kind_of(node)}, accepted: a number")
    return None


def _read_rates(section: Section, name: str) -> Numbers:
    rates: list[float] = []
    section.get(name, required=True)
    for path, place, text in section.texts(name):
        try:
            rates.append(parse_rate(text))
        except SurgeproofError as error:
            section.mistakes.add(place, path, str(error))
    return Numbers.of(rates)


def _read_text(section: Section, name: str, parameter: Parameter) -> str | None:
    if parameter.unit == "word":
        return section.choice(name, name, parameter.words)
    text = section.text(name, required=parameter.required)
    if text is not None and parameter.unit == "moment" and parse_time(text) is None:
        section.wrong(name, f"{text!r} is no moment; accepted: 2026-01-31T18:00:00Z, Unix seconds")
        return None
    return text


def _read_random(section: Section, kind: ArrivalKind) -> bool:
    node = section.get("random")
    if node is None:
        return False
    value = node.value if isinstance(node, ScalarNode) else None
    if not isinstance(value, bool):
        section.wrong("random", f"found {kind_of(node)}, accepted: true or false")
    elif kind.is_random and not value:
        section.wrong("random", f"{kind.name} is always random; accepted: true, or another kind")
    return value is True


def _text_of(section: Section, path: Path) -> str | None:
    try:
        if (size := path.stat().st_size) > _MOST_BYTES:
            section.wrong("file", f"{path} has {size} bytes; accepted: {_MOST_BYTES} at most")
            return None
        # Bytes, for line ends are part of what the fingerprint covers.
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        section.wrong("file", f"{path} is no UTF-8 text")
    except OSError as error:
        section.wrong("file", f"{path} cannot be read: {(error.strerror or str(error)).lower()}")
    return None


def _fetch(section: Section, texts: Mapping[str, str], step_s: float | None) -> str | None:
    """Return Prometheus' answer to a range query, as the JSON text that a saved one would be."""
    missing = [name for name in _ASKED if section.get(name) is None]
    if missing:
        needs = "a file, or url, query, start, end and step together"
        section.wrong(missing[0], f"is required; accepted: {needs}")
        return None
    start, end = parse_time(texts.get("start", "")), parse_time(texts.get("end", ""))
    if start is None or end is None or not step_s:
        return None
    if end <= start:
        section.wrong("end", f"{texts['end']} is not after {texts['start']}")
        return None
    # Requests and the Prometheus client take longer to import than a plan takes to read.
    from surgeproof.observe.prometheus import Prometheus  # noqa: PLC0415

    try:
        with Prometheus(texts["url"]) as prometheus:
            found = prometheus.query_range(texts["query"], float(start), float(end), step_s)
    except SurgeproofError as error:
        section.wrong("url", str(error))
        return None
    answer = {
        "status": "success",
        "data": {
            "resultType": "matrix",
            "result": [
                {
                    "metric": dict(key.labels),
                    "values": [[when, repr(value)] for when, value in points],
                }
                for key, points in found
            ],
        },
        # Credentials of a URL are nobody's business later.
        "source": {"host": urlsplit(texts["url"]).hostname, "query": texts["query"]},
    }
    return json.dumps(answer, indent=1) + "\n"
