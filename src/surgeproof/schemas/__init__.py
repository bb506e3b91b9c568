"""The published JSON Schemas of what people and programs write and read: plans and results."""

from __future__ import annotations

import json
from importlib import resources

from surgeproof.errors import UsageError

__all__ = ["SCHEMA_NAMES", "read_schema", "schema_text"]

SCHEMA_NAMES = ("plan", "result")


def schema_text(name: str) -> str:
    """Return a schema as it is published.

    Raises:
        UsageError: there is no such schema.
    """
    if name not in SCHEMA_NAMES:
        raise UsageError(f"unknown schema {name!r}; accepted: {', '.join(SCHEMA_NAMES)}")
    path = resources.files("surgeproof.schemas") / f"{name}.schema.json"
    return path.read_text(encoding="utf-8")


def read_schema(name: str) -> dict[str, object]:
    """Return a schema as data.

    Raises:
        UsageError: there is no such schema.
    """
    data = json.loads(schema_text(name))
    if not isinstance(data, dict):
        raise UsageError(f"schema {name!r} is no JSON object")
    return data
