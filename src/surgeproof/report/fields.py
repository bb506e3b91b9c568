"""JSON as it was journalled, read field by field: the wrong type is an error that names its key."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from surgeproof.errors import FormatError
from surgeproof.model.plan import Window

__all__ = ["Fields"]


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object; ``where`` is its key path, for the message.

    A missing key and null are the same: the default. All methods raise `FormatError` on a value
    of another type.
    """

    data: Mapping[str, object]
    where: str

    def text(self, key: str, default: str = "") -> str:
        value = self.data.get(key)
        if value is None:
            return default
        if not isinstance(value, str | int | float):
            raise self._wrong(key, value, "a text")
        return str(value)

    def number(self, key: str) -> float | None:
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, value, "a number")
        return float(value) if math.isfinite(value) else None

    def count(self, key: str) -> int:
        return int(self.number(key) or 0)

    def claim(self, key: str) -> bool | None:
        value = self.data.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def part(self, key: str) -> Fields:
        """Return an object within this one; empty if there is none."""
        value = self.data.get(key)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise self._wrong(key, value, "an object")
        return Fields(value, f"{self.where}.{key}")

    def parts(self, key: str) -> Iterator[Fields]:
        """Yield the objects of a list."""
        for index, value in enumerate(self.values(key)):
            if not isinstance(value, Mapping):
                raise self._wrong(f"{key}[{index}]", value, "an object")
            yield Fields(value, f"{self.where}.{key}[{index}]")

    def named(self, key: str) -> Iterator[tuple[str, Fields]]:
        """Yield the objects of an object of objects, with their names."""
        inside = self.part(key)
        for name in inside.data:
            yield name, inside.part(name)

    def values(self, key: str) -> tuple[object, ...]:
        value = self.data.get(key)
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            raise self._wrong(key, value, "a list")
        return tuple(value)

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(str(value) for value in self.values(key))

    def counts(self, key: str) -> dict[str, int]:
        inside = self.part(key)
        return {name: inside.count(name) for name in inside.data}

    def window(self, key: str) -> Window | None:
        """Return a window ``{name, start_s, end_s}``, or None without its times."""
        value = self.data.get(key)
        if isinstance(value, str):
            return None
        inside = self.part(key)
        start_s, end_s = inside.number("start_s"), inside.number("end_s")
        if start_s is None or end_s is None:
            return None
        return Window(inside.text("name"), start_s, end_s)

    def _wrong(self, key: str, value: object, accepted: str) -> FormatError:
        return FormatError(f"{self.where}.{key} is {value!r}; accepted: {accepted}")
