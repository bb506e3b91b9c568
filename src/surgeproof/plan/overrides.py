"""Profiles and ``--set path.to.key=value``: what is laid over a plan file before it is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType

from surgeproof.plan.nodes import (
    ListNode,
    MappingNode,
    Mistakes,
    Node,
    Place,
    ScalarNode,
    empty_mapping,
    kind_of,
    read_yaml_text,
)
from surgeproof.slo.nearest import unknown_word

__all__ = ["apply_overrides", "apply_profile"]

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def apply_profile(root: MappingNode, profile: str | None, mistakes: Mistakes) -> MappingNode:
    """Return the plan without its ``profiles``, the chosen one merged over the top level.

    Mappings are merged key by key; everything else, lists too, is replaced as a whole.
    """
    without = {key: entry for key, entry in root.entries.items() if key != "profiles"}
    base = MappingNode(root.place, MappingProxyType(without))
    entry = root.entries.get("profiles")
    if entry is None:
        if profile is not None:
            mistakes.add(root.place, "profiles", unknown_word("profile", profile, ()))
        return base
    place, profiles = entry
    if not isinstance(profiles, MappingNode):
        mistakes.add(place, "profiles", f"found {kind_of(profiles)}, accepted: a mapping")
        return base
    for name, (_, overlay) in profiles.entries.items():
        if not isinstance(overlay, MappingNode):
            message = f"found {kind_of(overlay)}, accepted: a mapping"
            mistakes.add(overlay.place, f"profiles.{name}", message)
    if profile is None:
        return base
    if profile not in profiles.entries:
        mistakes.add(place, "profiles", unknown_word("profile", profile, profiles.entries))
        return base
    merged = _merge(base, profiles.entries[profile][1])
    return merged if isinstance(merged, MappingNode) else base


def _merge(base: Node, overlay: Node) -> Node:
    if not isinstance(base, MappingNode) or not isinstance(overlay, MappingNode):
        return overlay
    entries = dict(base.entries)
    for key, (place, value) in overlay.entries.items():
        known = entries.get(key)
        entries[key] = (place, value if known is None else _merge(known[1], value))
    return MappingNode(base.place, MappingProxyType(entries))


def apply_overrides(root: MappingNode, overrides: Sequence[str], mistakes: Mistakes) -> MappingNode:
    """Return the plan with each ``path.to.key=value`` set, in their order.

    A step of the path is a key of a mapping, or for a list an index (``faults.0`` or
    ``faults[0]``) or the ``name`` of an item. The value is YAML. Missing keys are made.
    """
    for override in overrides:
        place = Place(f"--set {override}")
        path, equals, text = override.partition("=")
        steps = [bracketed or word for bracketed, word in _STEP.findall(path)]
        if not equals or not steps:
            mistakes.add(place, "", "accepted: path.to.key=value")
            continue
        value = _value(text, place, mistakes)
        if value is not None:
            changed = _set(root, steps, value, _Setting(place, "", mistakes))
            root = changed if isinstance(changed, MappingNode) else root
    return root


def _value(text: str, place: Place, mistakes: Mistakes) -> Node | None:
    if not text.strip():
        return ScalarNode(place, "", "")
    node = read_yaml_text(text, place.file, mistakes)
    return None if node is None else _placed(node, place)


def _placed(node: Node, place: Place) -> Node:
    """Return the tree with the command line as its place: a line of it says nothing."""
    if isinstance(node, MappingNode):
        entries = {key: (place, _placed(value, place)) for key, (_, value) in node.entries.items()}
        return MappingNode(place, MappingProxyType(entries))
    if isinstance(node, ListNode):
        return ListNode(place, tuple(_placed(item, place) for item in node.items))
    return ScalarNode(place, node.text, node.value)


class _Setting:
    """Where one override has got to, for its complaints."""

    def __init__(self, place: Place, path: str, mistakes: Mistakes) -> None:
        self.place, self.path, self.mistakes = place, path, mistakes

    def below(self, step: str) -> _Setting:
        path = f"{self.path}.{step}" if self.path else step
        return _Setting(self.place, path, self.mistakes)

    def wrong(self, message: str) -> None:
        self.mistakes.add(self.place, self.path, message)


def _set(node: Node, steps: Sequence[str], value: Node, setting: _Setting) -> Node:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(node, MappingNode):
        known = node.entries.get(step)
        inner = known[1] if known is not None else empty_mapping(setting.place)
        if rest and isinstance(inner, ScalarNode) and inner.value is None:
            inner = empty_mapping(setting.place)
        changed = _set(inner, rest, value, setting.below(step))
        place = known[0] if known is not None else setting.place
        return MappingNode(node.place, MappingProxyType({**node.entries, step: (place, changed)}))
    if isinstance(node, ListNode):
        index = _index(node, step)
        if index is None:
            names = [name for name in map(_name_of, node.items) if name]
            last = len(node.items) - 1
            accepted = [*names, f"0 to {last}"] if node.items else []
            setting.wrong(unknown_word("item", step, accepted))
            return node
        items = list(node.items)
        items[index] = _set(items[index], rest, value, setting.below(step))
        return ListNode(node.place, tuple(items))
    setting.wrong(f"is {kind_of(node)} and has nothing below it that could be set")
    return node


def _index(node: ListNode, step: str) -> int | None:
    names = [_name_of(item) for item in node.items]
    if step in names:
        return names.index(step)
    if step.isascii() and step.isdigit() and int(step) < len(node.items):
        return int(step)
    return None


def _name_of(node: Node) -> str | None:
    if not isinstance(node, MappingNode) or "name" not in node.entries:
        return None
    name = node.entries["name"][1]
    return name.text if isinstance(name, ScalarNode) else None
