"""A TOML file read with care: every mistake at once, each with its line and key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

from surgeproof.errors import Mistake, PlanError, UsageError
from surgeproof.units import parse_duration

__all__ = ["TomlFile", "TomlTable"]

Value = TypeVar("Value")

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\"'-]+)\s*=")
_SYNTAX_PLACE = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")


class TomlFile:
    """A parsed file that gathers what is wrong with it.

    With ``extends`` its key of that name may name another file, which it is laid over.

    Raises:
        PlanError: the file cannot be read, or is no TOML.
    """

    def __init__(self, path: Path, *, extends: bool = False) -> None:
        self.path = path
        self._mistakes: list[Mistake] = []
        text, data = _read(path)
        if extends and isinstance(data.get("extends"), str):
            _, base = _read(path.parent / str(data["extends"]))
            data = _laid_over(base, data)
        self._lines = _key_lines(text)
        self.top = TomlTable(self, data, "")

    def complain(self, key: str, message: str) -> None:
        """Note a mistake at ``key`` (a dotted path such as ``servers.nats.kind``)."""
        self._mistakes.append(Mistake(str(self.path), self._line_of(key), 0, key, message))

    def raise_mistakes(self) -> None:
        """Raise what was gathered, if anything.

        Raises:
            PlanError: with every mistake, in file order.
        """
        if self._mistakes:
            raise PlanError(sorted(self._mistakes, key=lambda mistake: mistake.line))

    def _line_of(self, key: str) -> int:
        # A key that is missing has no line: the table it belongs in is where to look.
        while key:
            if key in self._lines:
                return self._lines[key]
            key = key.rpartition(".")[0]
        return 1


class TomlTable:
    """One table of a file, whose getters note a mistake and go on with a harmless value."""

    def __init__(self, file: TomlFile, data: Mapping[str, object], key: str) -> None:
        self.key = key
        self._file = file
        self._data = data

    def names(self) -> tuple[str, ...]:
        return tuple(self._data)

    def has(self, key: str) -> bool:
        return key in self._data

    def is_list(self, key: str) -> bool:
        return isinstance(self._data.get(key), list)

    def path(self, key: str) -> str:
        """Return the dotted path of ``key`` in the whole file."""
        return f"{self.key}.{key}" if self.key else key

    def complain(self, key: str, message: str) -> None:
        self._file.complain(self.path(key), message)

    def allow(self, known: Collection[str]) -> None:
        """Note every key that is not among ``known``, with the nearest one that is."""
        for key in self._data:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f", did you mean {near[0]!r}" if near else ""
                accepted = ", ".join(sorted(known))
                self.complain(key, f"unknown key{hint}; accepted: {accepted}")

    def text(self, key: str, default: str | None = None) -> str:
        """Return a non-empty string; without ``default`` the key is required."""
        return self._get(key, "a non-empty string", default, _as_text) or ""

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return a list of strings; without ``default`` the key is required and not empty."""
        found = self._get(key, "a list of strings", default, _as_texts)
        if found is None or (default is None and not found):
            if found is not None:
                self.complain(key, "is empty; accepted: a list of at least one string")
            return ()
        return found

    def duration_s(self, key: str, default: float | None = None) -> float:
        """Return a positive duration in seconds; the file writes it with its unit."""
        accepted = "a duration with its unit in quotes, such as '250ms' or '2s'"
        return self._get(key, accepted, default, _as_duration) or 0.0

    def port(self, key: str) -> int | None:
        """Return a port number, or None where the key is left out."""
        return self._get(key, "a port from 1 to 65535", None, _as_port, required=False)

    def table(self, key: str) -> TomlTable:
        """Return a table of this one; an empty one where it is missing."""
        value = self._data.get(key, {})
        if not isinstance(value, dict):
            self.complain(key, f"{value!r} is no table")
            value = {}
        return TomlTable(self._file, value, self.path(key))

    def tables(self) -> tuple[TomlTable, ...]:
        """Return each value of this table as a table, in file order."""
        return tuple(self.table(key) for key in self._data)

    def array_of_tables(self, key: str) -> tuple[TomlTable, ...]:
        """Return the tables written as ``[[key]]``."""
        value = self._data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            self.complain(key, f"is no array of tables; accepted: one [[{key}]] for each")
            return ()
        return tuple(
            TomlTable(self._file, row, f"{self.path(key)}[{index}]")
            for index, row in enumerate(value)
        )

    def _get(
        self,
        key: str,
        accepted: str,
        default: Value | None,
        convert: Callable[[object], Value | None],
        *,
        required: bool = True,
    ) -> Value | None:
        if key not in self._data:
            if default is None and required:
                self.complain(key, f"is missing; accepted: {accepted}")
            return default
        value = convert(self._data[key])
        if value is None:
            self.complain(key, f"{self._data[key]!r} is not accepted; accepted: {accepted}")
            return default
        return value


def _as_text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _as_texts(value: object) -> tuple[str, ...] | None:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return None


def _as_duration(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        return parse_duration(value) or None
    except UsageError:
        return None


def _as_port(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
        return value
    return None


def _read(path: Path) -> tuple[str, dict[str, object]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PlanError([Mistake(str(path), 0, 0, "", f"cannot be read: {reason}")]) from error
    except UnicodeDecodeError as error:
        raise PlanError([Mistake(str(path), 0, 0, "", "is no UTF-8 text")]) from error
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError([_syntax_mistake(path, str(error))]) from error


def _laid_over(base: Mapping[str, object], top: Mapping[str, object]) -> dict[str, object]:
    """Return both, table by table; where both have a value, that of ``top``."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _laid_over(below, value)
        else:
            merged[key] = value
    return merged


def _syntax_mistake(path: Path, message: str) -> Mistake:
    place = _SYNTAX_PLACE.search(message)
    line, column = (int(place[1]), int(place[2])) if place else (0, 0)
    text = _SYNTAX_PLACE.sub("", message)
    return Mistake(str(path), line, column, "", f"is no TOML: {text[:1].lower()}{text[1:]}")


def _key_lines(text: str) -> dict[str, int]:
    """Return the line of each key and table header (the parser itself keeps no positions)."""
    lines: dict[str, int] = {}
    rows: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = header[2].replace('"', "").replace("'", "").replace(" ", "")
            if header[1] == "[[":
                index = rows.get(table, 0)
                rows[table] = index + 1
                table = f"{table}[{index}]"
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            name = key[1].replace('"', "").replace("'", "")
            lines.setdefault(f"{table}.{name}" if table else name, number)
    return lines
