"""What a GraphQL query may ask for at most, found out before anything is done for it."""

from __future__ import annotations

from collections.abc import Mapping

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

__all__ = ["QueryLimitError", "check_limits"]

_MAX_DEPTH = 8
# A page of fifty posts with all that is known of each, and of what each replies to.
_MAX_COST = 2_000
# How many items a list has that is asked for without a number, as the services answer it.
_LISTS = {"feed": 20, "replies": 20, "posts": 20}


class QueryLimitError(Exception):
    """A query that asks for too much."""


def check_limits(document: DocumentNode, variables: Mapping[str, object]) -> None:
    """Raise :class:`QueryLimitError` if a query is too deep, or asks for too many values."""
    weigh = _Weigher(document, variables)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            weigh.add(definition.selection_set, 1, 1, frozenset())


class _Weigher:
    """Adds up the values that a query asks for, a list counting as often as it has items."""

    def __init__(self, document: DocumentNode, variables: Mapping[str, object]) -> None:
        self._variables = variables
        self._cost = 0
        self._fragments = {
            each.name.value: each.selection_set
            for each in document.definitions
            if isinstance(each, FragmentDefinitionNode)
        }

    def add(
        self, selected: SelectionSetNode, depth: int, times: int, inside: frozenset[str]
    ) -> None:
        if depth > _MAX_DEPTH:
            raise QueryLimitError(f"query: deeper than accepted (at most {_MAX_DEPTH} levels)")
        for node in selected.selections:
            # A spread counts as well: fragments of fragments must not be free.
            self._cost += times
            if self._cost > _MAX_COST:
                raise QueryLimitError(f"query: asks for too much (at most {_MAX_COST} values)")
            if isinstance(node, FieldNode):
                if node.selection_set is not None:
                    self.add(node.selection_set, depth + 1, times * self._items(node), inside)
            elif isinstance(node, InlineFragmentNode):
                self.add(node.selection_set, depth, times, inside)
            elif isinstance(node, FragmentSpreadNode):
                name = node.name.value
                if name in inside:
                    raise QueryLimitError(f"query: fragment {name[:80]!r} is part of itself")
                if name in self._fragments:
                    self.add(self._fragments[name], depth, times, inside | {name})

    def _items(self, node: FieldNode) -> int:
        items = _LISTS.get(node.name.value, 1)
        for argument in node.arguments or ():
            if argument.name.value != "first":
                continue
            value: object = None
            if isinstance(argument.value, IntValueNode):
                value = int(argument.value.value)
            elif isinstance(argument.value, VariableNode):
                value = self._variables.get(argument.value.name.value)
            if isinstance(value, int):
                items = max(value, 1)
        return items
