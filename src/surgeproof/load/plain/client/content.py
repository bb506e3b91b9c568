"""What plain code passes as ``params``, ``data``, ``json`` and ``files``, as bytes to send."""

from __future__ import annotations

import json as json_format
import mimetypes
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import urlencode

from surgeproof.load.http.body import encode_body

__all__ = ["encode_content", "with_params"]

_ACCEPTED = "bytes, str, a mapping, a list of pairs, an open file"


def with_params(target: str, params: Any) -> str:
    """Return a target with parameters added to its query."""
    if not params:
        return target
    if isinstance(params, bytes):
        params = params.decode("latin-1")
    query = params if isinstance(params, str) else urlencode(list(_pairs(params)))
    return f"{target}{'&' if '?' in target else '?'}{query}" if query else target


def encode_content(data: Any, json: Any, files: Any) -> tuple[bytes, str]:
    """Return a body and its content type, empty where the caller has to know it.

    As with `requests`: ``data`` goes before ``json``; form values of None are left out; a text has
    no content type of its own.

    Raises:
        TypeError: data or a file is of a kind that cannot be sent.
    """
    if files:
        fields: dict[str, list[str | bytes]] = {}
        for name, value in _pairs(data) if data else ():
            fields.setdefault(name, []).append(value)
        listed = files.items() if isinstance(files, Mapping) else files
        body = encode_body(data=fields, files={name: _file(name, value) for name, value in listed})
        return body.content, body.content_type
    if not data:
        if json is None:
            return b"", ""
        return json_format.dumps(json, allow_nan=False).encode(), "application/json"
    if isinstance(data, str | bytes | bytearray | memoryview) or hasattr(data, "read"):
        return _raw(data), ""
    if isinstance(data, Mapping | list | tuple):
        return urlencode(list(_pairs(data))).encode("ascii"), "application/x-www-form-urlencoded"
    raise TypeError(f"data is a {type(data).__name__}, accepted: {_ACCEPTED}")


def _raw(data: Any) -> bytes:
    if hasattr(data, "read"):
        data = data.read()
    return data.encode() if isinstance(data, str) else bytes(data)


def _pairs(values: Any) -> Iterator[tuple[str, str | bytes]]:
    """Yield names and single values of a mapping or a list of pairs, None left out."""
    listed: Iterable[tuple[Any, Any]] = values.items() if isinstance(values, Mapping) else values
    for name, value in listed:
        several = isinstance(value, Iterable) and not isinstance(value, str | bytes)
        for each in value if several else (value,):
            if each is not None:
                yield str(name), each if isinstance(each, str | bytes) else str(each)


def _file(name: str, value: Any) -> tuple[str, bytes, str]:
    file_name, kind = "", ""
    content = value
    if isinstance(value, tuple):
        if not 2 <= len(value) <= 3:
            raise TypeError(f"file {name!r} is a tuple of {len(value)}, accepted: 2 or 3 parts")
        file_name, content = value[0] or "", value[1]
        kind = value[2] if len(value) == 3 else ""
    if not file_name:
        file_name = PurePath(str(getattr(content, "name", name))).name
    if not kind:
        kind = mimetypes.guess_type(file_name)[0] or "application/octet-stream"
    if isinstance(content, str):
        content = content.encode()
    elif hasattr(content, "read"):
        content = _raw(content)
    if not isinstance(content, bytes | bytearray):
        raise TypeError(
            f"file {name!r} is a {type(content).__name__}, accepted: an open file, bytes, str"
        )
    return file_name, bytes(content), kind
