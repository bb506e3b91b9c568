"""Data feeds: rows that journeys take, the same for the same arrival wherever it is sent.

Which row an arrival gets depends on its number in the schedule and on the plan's seed alone. So
no worker has to ask another, a repeated run takes the same rows, and shards never share a row of
`Feed.unique`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from surgeproof.errors import FormatError, UsageError
from surgeproof.load.journeys import CURRENT_ARRIVAL, Arrival

__all__ = ["Feed"]

Row = TypeVar("Row")

# A file that is not what it should be is wrong in every line: the first few say enough.
_MOST_MISTAKES = 20


class Feed(Sequence[Row], Generic[Row]):
    """Rows in memory, read once. A class attribute of a user class, or of its module.

    The picks (`in_turn`, `random`, `unique`) are for journeys: each gives the current arrival its
    row, and the same one when asked again. Outside of journeys a feed is a plain sequence.
    """

    def __init__(self, rows: Iterable[Row], name: str) -> None:
        self._rows = tuple(rows)
        self._name = name
        if not self._rows:
            raise FormatError(f"{name} has no rows; accepted: at least one")

    @classmethod
    def csv(cls, path: Path | str, *, delimiter: str = ",") -> Feed[Mapping[str, str]]:
        """Read a CSV file (RFC 4180, UTF-8): the first line names the columns.

        Raises:
            FormatError: it cannot be read, or lines are not like the first; with file:line.
        """
        return Feed(_csv_rows(Path(path), delimiter), str(path))

    @classmethod
    def json_lines(cls, path: Path | str) -> Feed[Mapping[str, Any]]:
        """Read a file with one JSON object a line (UTF-8); empty lines are passed over.

        Raises:
            FormatError: it cannot be read, or lines are no JSON objects; with file:line.
        """
        return Feed(_json_rows(Path(path)), str(path))

    @classmethod
    def of(cls, rows: Iterable[Row], *, name: str = "the feed") -> Feed[Row]:
        """Return the feed of rows at hand; ``name`` is what errors call it.

        Raises:
            FormatError: there is no row.
        """
        return cls(rows, name)

    def in_turn(self) -> Row:
        """Return the row of the arrival's turn; after the last row the first follows.

        Raises:
            RuntimeError: outside of a journey.
        """
        return self._rows[_arrival().index % len(self._rows)]

    def random(self) -> Row:
        """Return a row drawn with the arrival's own seeded generator; every call draws anew.

        Raises:
            RuntimeError: outside of a journey.
        """
        return self._rows[_arrival().random.randrange(len(self._rows))]

    def unique(self) -> Row:
        """Return the row that no other arrival of the run gets: arrival 0 has the first row.

        A file so needs as many rows as the schedule has arrivals, whichever journeys they take.

        Raises:
            UsageError: the rows are used up. Left to end the journey, it makes an arrival that
                has sent nothing a dropped one, and stands in the generator's log.
            RuntimeError: outside of a journey.
        """
        index = _arrival().index
        if index >= len(self._rows):
            raise UsageError(
                f"{self._name} is used up: it has {len(self._rows)} rows, and arrival {index} "
                "wants one of its own; accepted: a row for each arrival of the schedule"
            )
        return self._rows[index]

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return f"<Feed {self._name}: {len(self._rows)} rows>"


def _arrival() -> Arrival:
    arrival = CURRENT_ARRIVAL.get()
    if arrival is None:
        raise RuntimeError("rows are picked for an arrival; outside of journeys use feed[index]")
    return arrival


def _csv_rows(path: Path, delimiter: str) -> list[Mapping[str, str]]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter, strict=True)
    columns: list[str] = []
    rows: list[Mapping[str, str]] = []
    mistakes: list[str] = []
    try:
        for cells in reader:
            if not cells:
                continue
            if not columns:
                columns = _columns(path, reader.line_num, cells)
            elif len(cells) == len(columns):
                rows.append(dict(zip(columns, cells, strict=True)))
            else:
                mistakes.append(
                    f"{path}:{reader.line_num}: {len(cells)} cells; accepted: {len(columns)} "
                    f"({', '.join(columns)})"
                )
    except csv.Error as error:
        mistakes.append(f"{path}:{reader.line_num}: {error}")
    _refuse(mistakes)
    return rows


def _columns(path: Path, line: int, cells: Sequence[str]) -> list[str]:
    columns = [cell.strip() for cell in cells]
    mistakes = []
    if "" in columns:
        number = columns.index("") + 1
        mistakes.append(f"{path}:{line}: column {number} has no name; accepted: a name for each")
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    mistakes += [f"{path}:{line}: column {name!r} is there twice" for name in twice]
    _refuse(mistakes)
    return columns


def _json_rows(path: Path) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    mistakes: list[str] = []
    # Only line feeds end lines: U+2028 and its kind may stand in a JSON string.
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            mistakes.append(f"{path}:{number}: {error}")
            continue
        if isinstance(row, dict):
            rows.append(row)
        else:
            mistakes.append(f"{path}:{number}: {line.strip()[:40]!r}; accepted: a JSON object")
    _refuse(mistakes)
    return rows


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(f"{path}:{line}: not UTF-8: {error.reason}; accepted: UTF-8") from error


def _refuse(mistakes: Sequence[str]) -> None:
    """Raise what is wrong with a file, all at once."""
    if not mistakes:
        return
    shown = [*mistakes[:_MOST_MISTAKES]]
    if len(mistakes) > _MOST_MISTAKES:
        shown.append(f"and {len(mistakes) - _MOST_MISTAKES} more")
    raise FormatError("\n".join(shown))
