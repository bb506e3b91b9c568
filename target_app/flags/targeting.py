"""Targeting rules: the part of flagd's JsonLogic that rollouts need.

``{"fractional": [["on", 10], ["off", 90]]}`` deals users out by a stable hash, ``if`` chooses by
conditions made of ``==``, ``!=``, ``in``, ``and``, ``or`` and ``!`` over ``{"var": "name"}``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from target_app.flags.murmur import murmur3

__all__ = ["Rule", "check", "variant_of"]

Rule = Mapping[str, object]


def check(rule: object) -> None:
    """Raise ValueError where a rule has an operator that is not understood here."""
    if isinstance(rule, Mapping):
        if len(rule) > 1:
            raise ValueError(f"{sorted(rule)} side by side (accepted: one operator)")
        for operator, operands in rule.items():
            if operator not in _LAZY and operator not in _EAGER:
                accepted = ", ".join(sorted({*_LAZY, *_EAGER}))
                raise ValueError(f"operator {operator!r} (accepted: {accepted})")
            if operator == "fractional":
                _shares(operands)
            check(operands)
    elif isinstance(rule, list):
        for each in rule:
            check(each)


def variant_of(rule: Rule, flag: str, context: Mapping[str, object]) -> str | None:
    """Return the name of the variant that a rule chooses, None if it chooses none."""
    chosen = _value(rule, flag, context)
    if isinstance(chosen, bool):
        return "true" if chosen else "false"
    return chosen if isinstance(chosen, str) else None


def _value(rule: object, flag: str, context: Mapping[str, object]) -> object:
    if not isinstance(rule, Mapping):
        return rule
    for operator, operands in rule.items():
        return _apply(operator, operands, flag, context)
    return None


def _apply(operator: str, operands: object, flag: str, context: Mapping[str, object]) -> object:
    listed = operands if isinstance(operands, list) else [operands]
    if operator in _LAZY:
        return _LAZY[operator](listed, flag, context)
    return _EAGER[operator]([_value(each, flag, context) for each in listed])


def _look_up(operands: Sequence[object], flag: str, context: Mapping[str, object]) -> object:
    name = str(operands[0])
    return flag if name == "$flagd.flagKey" else context.get(name)


def _choose(operands: Sequence[object], flag: str, context: Mapping[str, object]) -> object:
    for place in range(0, len(operands) - 1, 2):
        if _value(operands[place], flag, context):
            return _value(operands[place + 1], flag, context)
    return _value(operands[-1], flag, context) if len(operands) % 2 else None


def _deal(operands: Sequence[object], flag: str, context: Mapping[str, object]) -> str | None:
    """Deal a user to a share: always the same one, and others for another flag."""
    key = f"{flag}{context.get('targetingKey', '')}"
    if operands and not isinstance(operands[0], list):
        key = str(_value(operands[0], flag, context))
    shares = _shares(list(operands))
    # The hash as a fraction of all weights, in whole numbers: no share is off by a rounding.
    place = murmur3(key.encode()) * sum(weight for _, weight in shares) >> 32
    for name, weight in shares:
        if place < weight:
            return name
        place -= weight
    return None


def _shares(operands: object) -> list[tuple[str, int]]:
    listed = operands if isinstance(operands, list) else []
    shares: list[tuple[str, int]] = []
    for each in listed:
        if not isinstance(each, list):
            continue
        weight = each[1] if len(each) > 1 else 1
        if not each or not isinstance(each[0], str) or type(weight) is not int or weight < 0:
            raise ValueError(f"share {each!r} (accepted: [variant, whole weight])")
        shares.append((each[0], weight))
    if not sum(weight for _, weight in shares):
        raise ValueError("fractional without a share (accepted: [variant, whole weight], ...)")
    return shares


_LAZY: Mapping[str, Callable[[Sequence[object], str, Mapping[str, object]], object]] = {
    "var": _look_up,
    "if": _choose,
    "fractional": _deal,
}
_EAGER: Mapping[str, Callable[[Sequence[object]], object]] = {
    "cat": lambda values: "".join(str(each) for each in values),
    "!": lambda values: not values[0],
    "and": all,
    "or": any,
    "==": lambda values: values[0] == values[1],
    "!=": lambda values: values[0] != values[1],
    "in": lambda values: values[0] in cast("Sequence[object]", values[1] or ()),
}
