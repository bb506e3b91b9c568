"""``${NAME}`` in a plan: resolved late, from the environment, and never written anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping

from surgeproof.errors import UsageError
from surgeproof.model.plan import Target

__all__ = ["references_in", "resolve_headers", "resolve_text"]

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def references_in(text: str) -> list[str]:
    """Return the names that a text refers to.

    Raises:
        UsageError: a reference holds no name of a variable, or is not closed.
    """
    names = _REFERENCE.findall(text)
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(f"'${{{name}}}' names no environment variable; accepted: ${{NAME}}")
    if "${" in _REFERENCE.sub("", text):
        raise UsageError("a reference '${' is not closed; accepted: ${NAME}")
    return list(names)


def resolve_text(text: str, environ: Mapping[str, str], what: str) -> str:
    """Return the text with every ``${NAME}`` replaced by the environment's value.

    Raises:
        UsageError: a variable is not set; the message names it and ``what`` needs it.
    """
    missing = [name for name in references_in(text) if name not in environ]
    if missing:
        raise UsageError(
            f"{what} needs the environment variable {', '.join(missing)}, which is not set"
        )
    return _REFERENCE.sub(lambda match: environ[match[1]], text)


def resolve_headers(target: Target, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a target with their secrets; hand them on, and never journal them.

    Raises:
        UsageError: a variable is not set, or its value would break the header.
    """
    headers: dict[str, str] = {}
    for name, text in target.headers.items():
        value = resolve_text(text, environ, f"target.headers.{name}")
        if not value.isprintable():
            # The value itself stays out of the message: it is a secret.
            raise UsageError(f"target.headers.{name} holds a line break or control character")
        headers[name] = value
    return headers
