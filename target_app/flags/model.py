"""Flag definitions as flagd's JSON has them.

Format: https://flagd.dev/reference/flag-definitions/ - of it ``state``, ``variants``,
``defaultVariant`` and ``targeting``.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from target_app.flags.targeting import Rule, check

__all__ = ["Flag", "FlagFileError", "Value", "read_flags"]

Value = bool | int | float | str


class FlagFileError(ValueError):
    """A flag file that cannot be used; the message names the flag and the key."""


class Flag(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=False):
    """One flag. A disabled one is as if it were not there; a rule that names no variant, too."""

    state: str
    variants: dict[str, Value]
    default_variant: str
    targeting: dict[str, object] = {}

    @property
    def rule(self) -> Rule:
        """The targeting rule, empty for none."""
        return self.targeting


class _File(msgspec.Struct):
    flags: dict[str, Flag]


def read_flags(data: bytes) -> Mapping[str, Flag]:
    """Return the flags of a file.

    Raises:
        FlagFileError: it is not in flagd's format, or a flag contradicts itself.
    """
    try:
        flags = msgspec.json.decode(data, type=_File).flags
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise FlagFileError(str(error)) from error
    for name, flag in flags.items():
        if flag.state not in ("ENABLED", "DISABLED"):
            raise FlagFileError(f"{name}.state is {flag.state!r} (accepted: ENABLED, DISABLED)")
        if flag.default_variant not in flag.variants:
            accepted = ", ".join(flag.variants)
            raise FlagFileError(
                f"{name}.defaultVariant is {flag.default_variant!r} (accepted: {accepted})"
            )
        if (
            len({bool if isinstance(each, bool) else type(each) for each in flag.variants.values()})
            > 1
        ):
            raise FlagFileError(f"{name}.variants are of different types (accepted: one type)")
        try:
            check(flag.targeting)
        except ValueError as error:
            raise FlagFileError(f"{name}.targeting: {error}") from error
    return flags
