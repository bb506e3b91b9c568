"""YAML as a tree that knows the line and column of everything in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import yaml

from surgeproof.errors import Mistake

__all__ = [
    "ListNode",
    "MappingNode",
    "Mistakes",
    "Node",
    "Place",
    "ScalarNode",
    "empty_mapping",
    "kind_of",
    "plain",
    "read_documents",
    "read_text",
    "read_yaml",
    "read_yaml_text",
]

# A plan of a thousand lines has some thousands of nodes. Aliases are written out, so that a file
# of a few nested ones could ask for all the memory there is, and one within itself for ever.
_MOST_NODES = 20_000
_DEEPEST = 40


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: line and column are 1-based, 0 where unknown."""

    file: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value; ``text`` is how it was written, ``value`` what YAML takes it for."""

    place: Place
    text: str
    value: object


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys in file order, each with the place of the key and its value."""

    place: Place
    entries: Mapping[str, tuple[Place, Node]]


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list, with the place where it begins."""

    place: Place
    items: tuple[Node, ...]


Node = ScalarNode | MappingNode | ListNode


@dataclass(slots=True)
class Mistakes:
    """What was found wrong so far; the one thing that every reader writes to."""

    found: list[Mistake] = field(default_factory=list)

    def add(self, place: Place, key: str, message: str) -> None:
        self.found.append(Mistake(place.file, place.line, place.column, key, message))

    def in_order(self) -> tuple[Mistake, ...]:
        """Return the mistakes by file, line and column, each once."""
        unique = dict.fromkeys(self.found)
        return tuple(sorted(unique, key=lambda m: (m.file, m.line, m.column)))


def empty_mapping(place: Place) -> MappingNode:
    """Return a mapping without a key, as if it stood at a place."""
    return MappingNode(place, MappingProxyType({}))


def kind_of(node: Node) -> str:
    """Return what a node is, in words."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, ListNode):
        return "a list"
    return "nothing" if node.value is None else f"{node.text!r}"


def read_yaml(path: Path, mistakes: Mistakes) -> Node | None:
    """Return the tree of a file of one document, or None after noting why it cannot be read."""
    text = read_text(path, mistakes)
    return None if text is None else read_yaml_text(text, str(path), mistakes)


def read_text(path: Path, mistakes: Mistakes) -> str | None:
    """Return a file's text, or None after noting why it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        mistakes.add(Place(str(path)), "", "there is no such file")
    except UnicodeDecodeError:
        mistakes.add(Place(str(path)), "", "is no UTF-8 text")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        mistakes.add(Place(str(path)), "", f"cannot be read: {reason}")
    return None


def read_yaml_text(text: str, file: str, mistakes: Mistakes) -> Node | None:
    """Return the tree of a single YAML document, or None after noting what is wrong with it."""
    noted = len(mistakes.found)
    documents = read_documents(text, file, mistakes)
    if len(documents) == 1:
        return documents[0]
    if len(mistakes.found) == noted:
        problem = "the file holds several documents, accepted: one" if documents else "is empty"
        mistakes.add(Place(file), "", problem)
    return None


# libyaml reads many times faster, and what it says of mistakes is the same.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_documents(text: str, file: str, mistakes: Mistakes) -> list[Node]:
    """Return the trees of all YAML documents of a text, none after noting what is wrong."""
    roots: list[yaml.Node] = []
    try:
        loader = _LOADER(text)
        while loader.check_node():
            root = loader.get_node()
            if root is not None:
                roots.append(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        mistakes.add(place, "", f"no valid YAML: {error.problem or error.context}")
        return []
    except yaml.YAMLError as error:
        mistakes.add(Place(file), "", f"no valid YAML: {error}")
        return []
    except RecursionError:
        mistakes.add(Place(file), "", "nested too deeply")
        return []
    converter = _Converter(loader, file, mistakes)
    converted = [converter.convert(root, 0) for root in roots]
    # An empty document (a trailing `---`) is nothing that anybody asked about.
    return [
        node
        for node in converted
        if node is not None and not (isinstance(node, ScalarNode) and node.value is None)
    ]


class _Converter:
    def __init__(self, loader: yaml.SafeLoader, file: str, mistakes: Mistakes) -> None:
        self._loader = loader
        self._file = file
        self._mistakes = mistakes
        self._count = 0

    def convert(self, node: yaml.Node, depth: int) -> Node | None:
        place = Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)
        self._count += 1
        if self._count > _MOST_NODES or depth > _DEEPEST:
            if self._count <= _MOST_NODES + 1:
                self._mistakes.add(place, "", "nested too deeply, or too many aliases")
            self._count = _MOST_NODES + 1
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, depth)
        if isinstance(node, yaml.SequenceNode):
            items = [self.convert(item, depth + 1) for item in node.value]
            return ListNode(place, tuple(item for item in items if item is not None))
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place, depth: int) -> MappingNode:
        entries: dict[str, tuple[Place, Node]] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            mark = key_node.start_mark
            at = Place(self._file, mark.line + 1, mark.column + 1)
            if key in entries:
                first = entries[key][0].line
                self._mistakes.add(at, key, f"the key is there twice, first in line {first}")
                continue
            value = self.convert(value_node, depth + 1)
            if value is not None:
                entries[key] = (at, value)
        return MappingNode(place, MappingProxyType(entries))

    def _scalar(self, node: yaml.Node, place: Place) -> ScalarNode:
        text = str(node.value)
        try:
            value = self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            # An unknown tag, or a date that is none: it stays the text that it was written as.
            value = text
        return ScalarNode(place, text, value)


def plain(node: Node) -> object:
    """Return the tree as plain Python data, for printing it again."""
    if isinstance(node, MappingNode):
        return {key: plain(value) for key, (_, value) in node.entries.items()}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.value
