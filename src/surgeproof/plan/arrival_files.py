"""Arrivals that stand in files: recordings, tables of rates, answers of Prometheus.

Each reader notes what is wrong with its file, by line, and returns None then. Times count from
the first row, and keep each digit that the file has: a moment of the calendar takes more digits
than a float holds.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from surgeproof.model.plan import Numbers
from surgeproof.plan.nodes import Mistakes, Place
from surgeproof.slo.nearest import unknown_word

__all__ = ["ArrivalFile", "Columns", "parse_time", "read_answer", "read_recording", "read_table"]

Columns = Mapping[str, Numbers]

# A file that is wrong in each line is told about in its first ones.
_TOLD = 10
_MOST_ROWS = 10_000_000


@dataclass(slots=True)
class ArrivalFile:
    """The text of one file, and where its mistakes go: ``key`` is what in the plan names it."""

    name: str
    text: str
    key: str
    mistakes: Mistakes
    told: int = 0

    def wrong(self, line: int, message: str) -> None:
        """Note a mistake in a line (0: in the file as a whole)."""
        self.told += 1
        if self.told <= _TOLD:
            self.mistakes.add(Place(self.name, line, 1 if line else 0), self.key, message)
        elif self.told == _TOLD + 1:
            self.mistakes.add(Place(self.name, line, 1), self.key, "and more of its kind from here")


def parse_time(text: str) -> Decimal | None:
    """Return seconds for a number or an ISO 8601 moment (UTC where it names no zone)."""
    text = text.strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        pass
    else:
        return number if number.is_finite() else None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    whole = Decimal(since.days * 86_400 + since.seconds)
    return whole + Decimal(since.microseconds) / 1_000_000


def read_recording(file: ArrivalFile, column: str | None) -> Columns | None:
    """Return the ``times`` of a recording: one a line, or a column of CSV or of JSON lines."""
    suffix = file.name.rpartition(".")[2].lower()
    if suffix in {"jsonl", "ndjson"}:
        found = _json_times(file, column or "time")
    elif suffix == "csv":
        found = ((line, cells[0]) for line, cells in _csv_cells(file, (column,)))
    else:
        if column is not None:
            file.wrong(0, f"{column!r} cannot be looked up; accepted: a .csv or .jsonl file")
            return None
        lines = enumerate(file.text.splitlines(), start=1)
        found = ((line, text) for line, text in lines if text.strip())
    times: list[Decimal] = []
    for line, text in found:
        _take_time(file, line, text, times, strictly=False)
    return None if not _is_whole(file, times, 1) else {"times": _since_first(times)}


def read_table(file: ArrivalFile, time: str | None, rate: str | None) -> Columns | None:
    """Return ``times`` and ``rates`` (per second) of a CSV file, by default its first columns."""
    times: list[Decimal] = []
    rates: list[float] = []
    for line, (when, value) in _csv_cells(file, (time, rate)):
        _take_time(file, line, when, times, strictly=True)
        rates.append(_take_rate(file, line, value))
    if not _is_whole(file, times, 2):
        return None
    return {"times": _since_first(times), "rates": Numbers.of(rates)}


def read_answer(file: ArrivalFile) -> Columns | None:
    """Return ``times`` and ``rates`` of the one series of an answer to a range query, as JSON."""
    try:
        answer = json.loads(file.text, parse_float=Decimal)
    except ValueError as error:
        file.wrong(getattr(error, "lineno", 0), f"is no JSON: {error}")
        return None
    try:
        result = answer["data"]["result"]
        count = len(result)
        values = [(str(when), str(value)) for when, value in result[0]["values"]] if count else []
    except (TypeError, KeyError, ValueError, IndexError):
        file.wrong(
            0, "is no answer of Prometheus to a range query; accepted: data.result with values"
        )
        return None
    if count != 1:
        file.wrong(0, f"holds {count} series; accepted: one, as a query with sum(…) gives")
        return None
    times: list[Decimal] = []
    rates: list[float] = []
    for place, (when, value) in enumerate(values):
        where = f"value {place} of the series: "
        _take_time(file, 0, when, times, strictly=True, where=where)
        rates.append(_take_rate(file, 0, value, where=where))
    if not _is_whole(file, times, 2):
        return None
    return {"times": _since_first(times), "rates": Numbers.of(rates)}


def _take_time(
    file: ArrivalFile,
    line: int,
    text: str,
    times: list[Decimal],
    *,
    strictly: bool,
    where: str = "",
) -> None:
    time = parse_time(text)
    if time is None:
        accepted = "a number of seconds, or a moment like 2026-01-31T18:00:00Z"
        file.wrong(line, f"{where}{text!r} is no time; accepted: {accepted}")
    elif times and (time < times[-1] or (strictly and time == times[-1])):
        order = "each after the one before" if strictly else "none before the one before"
        file.wrong(line, f"{where}the time {text.strip()} is out of order; accepted: {order}")
    else:
        times.append(time)


def _take_rate(file: ArrivalFile, line: int, text: str, where: str = "") -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (math.isfinite(rate) and rate >= 0):
        file.wrong(line, f"{where}{text!r} is no rate; accepted: a number per second, 0 or more")
    return rate


def _is_whole(file: ArrivalFile, times: list[Decimal], fewest: int) -> bool:
    if file.told:
        return False
    if len(times) < fewest:
        found = "is empty" if not times else f"has {len(times)} row only"
        file.wrong(0, f"{found}; accepted: {fewest} or more")
    elif len(times) > _MOST_ROWS:
        file.wrong(0, f"has {len(times)} rows; accepted: {_MOST_ROWS} at most")
    return not file.told


def _since_first(times: list[Decimal]) -> Numbers:
    return Numbers.of(float(time - times[0]) for time in times)


def _csv_cells(
    file: ArrivalFile, names: tuple[str | None, ...]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield line and cells of the named columns; columns without a name are the first ones."""
    reader = csv.reader(io.StringIO(file.text), strict=True, skipinitialspace=True)
    places: list[int] | None = None
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if places is None:
                places = list(range(len(names)))
                # A first row that begins with no time says what the columns are.
                if any(names) or parse_time(row[0]) is None:
                    found = _places(file, reader.line_num, row, names)
                    if found is None:
                        return
                    places = found
                    continue
            if max(places) >= len(row):
                file.wrong(reader.line_num, f"has {len(row)} cells; accepted: {max(places) + 1}")
                continue
            yield reader.line_num, tuple(row[place] for place in places)
    except csv.Error as error:
        file.wrong(reader.line_num, f"is no CSV: {error}")


def _places(
    file: ArrivalFile, line: int, header: list[str], names: tuple[str | None, ...]
) -> list[int] | None:
    titles = [title.strip() for title in header]
    places = list(range(len(names)))
    for place, name in enumerate(names):
        if name is None:
            continue
        if name not in titles:
            file.wrong(line, unknown_word("column", name, titles))
            return None
        places[place] = titles.index(name)
    return places


def _json_times(file: ArrivalFile, key: str) -> Iterator[tuple[int, str]]:
    for line, text in enumerate(file.text.splitlines(), start=1):
        if not text.strip():
            continue
        try:
            data = json.loads(text, parse_float=Decimal)
        except ValueError as error:
            file.wrong(line, f"is no JSON: {error}")
            continue
        if not isinstance(data, dict) or key not in data:
            file.wrong(line, f"has no key {key!r}; accepted: an object with it")
            continue
        yield line, str(data[key])
