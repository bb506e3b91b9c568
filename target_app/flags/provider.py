"""An OpenFeature provider over a set of flags that can be replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from target_app.flags.model import Flag
from target_app.flags.targeting import variant_of

__all__ = ["FileProvider"]

T = TypeVar("T")
_Tree = Sequence[FlagValueType] | Mapping[str, FlagValueType]


class FileProvider(AbstractProvider):
    """Answers from ``flags``; an unknown, disabled or wrongly typed flag gives the default."""

    def __init__(self) -> None:
        super().__init__()
        self.flags: Mapping[str, Flag] = {}

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata(name="flag file")

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Resolve a flag that is on or off."""
        return self._resolve(flag_key, default_value, (bool,), evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Resolve a flag that is a word."""
        return self._resolve(flag_key, default_value, (str,), evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Resolve a flag that is a whole number."""
        return self._resolve(flag_key, default_value, (int,), evaluation_context)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """Resolve a flag that is a number."""
        return self._resolve(flag_key, default_value, (int, float), evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: _Tree,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[_Tree]:
        """Return the default: no flag of the app is an object."""
        del flag_key, evaluation_context
        return FlagResolutionDetails(default_value, reason=Reason.DEFAULT)

    def _resolve(
        self,
        key: str,
        default: T,
        types: tuple[type, ...],
        context: EvaluationContext | None,
    ) -> FlagResolutionDetails[T]:
        flag = self.flags.get(key)
        if flag is None:
            return _failed(default, ErrorCode.FLAG_NOT_FOUND, f"no flag {key!r}")
        if flag.state == "DISABLED":
            return FlagResolutionDetails(default, reason=Reason.DISABLED)
        variant, reason = flag.default_variant, Reason.STATIC
        if flag.targeting:
            chosen = variant_of(flag.targeting, key, _words(context))
            if chosen is not None and chosen in flag.variants:
                variant, reason = chosen, Reason.TARGETING_MATCH
            else:
                reason = Reason.DEFAULT
        value = flag.variants[variant]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            return _failed(default, ErrorCode.TYPE_MISMATCH, f"{key} is {value!r}")
        return FlagResolutionDetails(value, reason=reason, variant=variant)  # type: ignore[arg-type]  # the test above says that it is


def _words(context: EvaluationContext | None) -> Mapping[str, object]:
    if context is None:
        return {}
    return {**context.attributes, "targetingKey": context.targeting_key or ""}


def _failed(default: T, code: ErrorCode, message: str) -> FlagResolutionDetails[T]:
    return FlagResolutionDetails(
        default, reason=Reason.ERROR, error_code=code, error_message=message
    )
