"""One mapping of a plan file, read key by key; what nobody asked for is an unknown key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from surgeproof.errors import UsageError
from surgeproof.plan.nodes import (
    ListNode,
    MappingNode,
    Mistakes,
    Node,
    Place,
    ScalarNode,
    empty_mapping,
    kind_of,
)
from surgeproof.slo.nearest import unknown_word
from surgeproof.units import parse_duration

__all__ = ["Section", "find_file"]

T = TypeVar("T")


def find_file(text: str, plan_file: Path) -> Path | None:
    """Return an existing path: as written (from the working directory), else beside the plan."""
    written = Path(text).expanduser()
    candidates = [written] if written.is_absolute() else [written, plan_file.parent / written]
    return next((path for path in candidates if path.exists()), None)


class Section:
    """A mapping at ``path`` (``load.phases[1]``). Every reader notes its mistakes and goes on.

    A reader returns None where the key is absent or wrong; the mistake is noted already.
    """

    def __init__(self, node: Node, path: str, mistakes: Mistakes) -> None:
        self.path = path
        self.mistakes = mistakes
        self.place = node.place
        self._asked: set[str] = set()
        if isinstance(node, MappingNode):
            self.node = node
        else:
            mistakes.add(node.place, path, f"found {kind_of(node)}, accepted: a mapping")
            self.node = empty_mapping(node.place)

    def key(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def wrong(self, name: str, message: str) -> None:
        """Note a mistake at a key's value, or at the section where the key is absent."""
        place = self.node.entries[name][1].place if name in self.node.entries else self.place
        self.mistakes.add(place, self.key(name), message)

    def get(self, name: str, *, required: bool = False) -> Node | None:
        """Return a key's node; an empty value counts as absent."""
        self._asked.add(name)
        entry = self.node.entries.get(name)
        if entry is None or (isinstance(entry[1], ScalarNode) and entry[1].value is None):
            if required:
                self.mistakes.add(self.place, self.key(name), "is required")
            return None
        return entry[1]

    def text(self, name: str, *, required: bool = False) -> str | None:
        node = self.get(name, required=required)
        if node is None or isinstance(node, ScalarNode):
            return None if node is None else node.text
        self.wrong(name, f"found {kind_of(node)}, accepted: a text")
        return None

    def parsed(self, name: str, parse: Callable[[str], T], *, required: bool = False) -> T | None:
        """Return ``parse(text)``; its `UsageError` becomes a mistake."""
        text = self.text(name, required=required)
        if text is None:
            return None
        try:
            return parse(text)
        except UsageError as error:
            self.wrong(name, str(error))
            return None

    def duration(
        self, name: str, *, required: bool = False, positive: bool = False
    ) -> float | None:
        value = self.parsed(name, parse_duration, required=required)
        if positive and value is not None and value <= 0:
            self.wrong(name, f"{self.text(name)!r} is no time at all; accepted: more than 0s")
            return None
        return value

    def whole(self, name: str, *, required: bool = False) -> int | None:
        node = self.get(name, required=required)
        if node is None:
            return None
        value = node.value if isinstance(node, ScalarNode) else None
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self.wrong(name, f"found {kind_of(node)}, accepted: a whole number, 0 or more")
            return None
        return value

    def choice(
        self, name: str, what: str, accepted: Iterable[str], *, required: bool = False
    ) -> str | None:
        text = self.text(name, required=required)
        words = list(accepted)
        if text is None or text in words:
            return text
        self.wrong(name, unknown_word(what, text, words))
        return None

    def file(self, name: str, plan_file: Path, *, required: bool = False) -> Path | None:
        text = self.text(name, required=required)
        if text is None:
            return None
        found = find_file(text, plan_file)
        if found is None or not found.is_file():
            self.wrong(
                name,
                f"there is no file {text!r}, neither in the working directory nor beside the plan "
                f"({plan_file.parent})",
            )
            return None
        return found

    def section(self, name: str, *, required: bool = False) -> Section | None:
        node = self.get(name, required=required)
        return None if node is None else Section(node, self.key(name), self.mistakes)

    def items(self, name: str, *, required: bool = False) -> Iterator[tuple[str, Node]]:
        """Yield each item of a list with its path."""
        node = self.get(name, required=required)
        if node is None:
            return
        if not isinstance(node, ListNode):
            self.wrong(name, f"found {kind_of(node)}, accepted: a list")
            return
        for index, item in enumerate(node.items):
            yield f"{self.key(name)}[{index}]", item

    def sections(self, name: str, *, required: bool = False) -> Iterator[Section]:
        for path, item in self.items(name, required=required):
            yield Section(item, path, self.mistakes)

    def texts(self, name: str) -> Iterator[tuple[str, Place, str]]:
        """Yield each text of a list with its path and place."""
        for path, item in self.items(name):
            if isinstance(item, ScalarNode) and item.value is not None:
                yield path, item.place, item.text
            else:
                self.mistakes.add(item.place, path, f"found {kind_of(item)}, accepted: a text")

    def words(self, name: str) -> Mapping[str, str]:
        """Return a mapping of texts (numbers and yes/no as they were written)."""
        inner = self.section(name)
        if inner is None:
            return {}
        read = {key: inner.text(key) for key in inner.node.entries}
        return {key: value or "" for key, value in read.items()}

    def finish(self) -> None:
        """Note every key that no reader asked for."""
        self.check_keys(self.node, self.path)

    def check_keys(self, node: MappingNode, path: str) -> None:
        """Note every key of a mapping laid over this one that no reader of this one asks for."""
        for name, (place, _) in node.entries.items():
            if name not in self._asked:
                key = f"{path}.{name}" if path else name
                self.mistakes.add(place, key, unknown_word("key", name, sorted(self._asked)))
