"""Request bodies: JSON, forms, multipart, raw bytes and streams, each with its content type."""

from __future__ import annotations

import json as json_format
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlencode

__all__ = [
    "LAST_CHUNK",
    "Body",
    "Data",
    "Files",
    "FormValue",
    "encode_body",
    "framed_chunks",
    "is_repeatable",
]

FormValue: TypeAlias = str | int | float | bytes
# Name -> value, or several values under one name.
Form: TypeAlias = Mapping[str, FormValue | Sequence[FormValue]]
Data: TypeAlias = bytes | str | Form | Iterable[bytes]
# Field name -> (file name, content, content type).
Files: TypeAlias = Mapping[str, tuple[str, bytes, str]]

_JSON_TYPE = "application/json"
_FORM_TYPE = "application/x-www-form-urlencoded"
_TEXT_TYPE = "text/plain; charset=utf-8"
_NO_CONTENT = b""
LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries: either whole ``content`` or ``chunks`` that are made while it runs.

    ``content_type`` is empty where the caller has to know it. Chunks can be read only once, so a
    request with them is never sent a second time.
    """

    content: bytes
    content_type: str = ""
    chunks: Iterable[bytes] | None = None


def encode_body(
    *,
    json: object | None = None,
    data: Data = _NO_CONTENT,
    files: Files | None = None,
    randomness: random.Random | None = None,
) -> Body:
    """Return the body of a request.

    ``json`` excludes the others. ``data`` is bytes as they are, a text (sent as UTF-8), a form, or
    an iterable of bytes, which is sent as it comes (``Transfer-Encoding: chunked``). ``files``
    makes the body multipart/form-data, with a form in ``data`` as its fields before the files;
    the boundary is drawn from ``randomness``, so a seeded source gives the same bytes again.

    Raises:
        ValueError: parts that exclude each other, or a value that cannot be put into a body.
    """
    if json is not None:
        if files is not None or not (isinstance(data, bytes) and not data):
            raise ValueError("json excludes data and files; accepted: one of them")
        return Body(json_format.dumps(json, separators=(",", ":")).encode(), _JSON_TYPE)
    if files is not None:
        return _multipart(data, files, randomness or random.Random())
    if isinstance(data, bytes | bytearray | memoryview):
        return Body(bytes(data))
    if isinstance(data, str):
        return Body(data.encode(), _TEXT_TYPE)
    if isinstance(data, Mapping):
        return Body(urlencode(list(_fields(data))).encode("ascii"), _FORM_TYPE)
    if isinstance(data, Iterable):
        return Body(_NO_CONTENT, chunks=data)
    raise ValueError(
        f"data is a {type(data).__name__}; accepted: bytes, str, a mapping, an iterable of bytes"
    )


def is_repeatable(data: Data) -> bool:
    """Tell whether data can be sent a second time; a stream can be read only once."""
    return isinstance(data, bytes | bytearray | memoryview | str | Mapping)


def framed_chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield chunks with their sizes, as ``Transfer-Encoding: chunked`` wants them, and the end.

    Raises:
        ValueError: the iterable yields something else than bytes.
    """
    for chunk in chunks:
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise ValueError(  # noqa: TRY004 - one error for whatever cannot be sent
                f"a streamed body yielded a {type(chunk).__name__}; accepted: bytes"
            )
        # An empty chunk would be read as the end.
        if len(chunk):
            yield b"%x\r\n%b\r\n" % (len(chunk), chunk)
    yield LAST_CHUNK


def _fields(form: Form) -> Iterator[tuple[str, str | bytes]]:
    for name, value in form.items():
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            yield name, _field_value(name, value)
        else:
            for each in value:
                yield name, _field_value(name, each)


def _field_value(name: str, value: object) -> str | bytes:
    if isinstance(value, bool) or not isinstance(value, str | bytes | int | float):
        # Services disagree on how to write None and True; a guess would test the wrong thing.
        raise ValueError(  # noqa: TRY004 - one error for whatever cannot be sent
            f"form field {name!r} is {value!r}; accepted: str, bytes, int, float or a list of these"
        )
    return value if isinstance(value, str | bytes) else str(value)


def _multipart(data: Data, files: Files, randomness: random.Random) -> Body:
    if not isinstance(data, Mapping) and not (isinstance(data, bytes) and not data):
        raise ValueError(
            f"data beside files is a {type(data).__name__}; accepted: a mapping of form fields"
        )
    parts = []
    for name, value in _fields(data) if isinstance(data, Mapping) else ():
        content = value if isinstance(value, bytes) else value.encode()
        parts.append((_disposition(name, None), content))
    for name, (file_name, content, content_type) in files.items():
        if not content_type.isprintable():
            raise ValueError(f"file {name!r} has a content type that cannot be sent")
        head = f"{_disposition(name, file_name)}\r\nContent-Type: {content_type}"
        parts.append((head, bytes(content)))
    boundary = _boundary(randomness, [content for _, content in parts])
    pieces = []
    for head, content in parts:
        pieces.append(f"--{boundary}\r\n{head}\r\n\r\n".encode())
        pieces.append(content)
        pieces.append(b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return Body(b"".join(pieces), f"multipart/form-data; boundary={boundary}")


def _disposition(name: str, file_name: str | None) -> str:
    described = f'Content-Disposition: form-data; name="{_quoted(name)}"'
    return described if file_name is None else f'{described}; filename="{_quoted(file_name)}"'


def _quoted(text: str) -> str:
    """Escape as browsers do (WHATWG HTML, multipart/form-data encoding algorithm)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _boundary(randomness: random.Random, contents: list[bytes]) -> str:
    while True:
        boundary = f"surgeproof-{randomness.getrandbits(128):032x}"
        if not any(boundary.encode() in content for content in contents):
            return boundary
