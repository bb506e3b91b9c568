"""A request as bytes, built once from its parts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from surgeproof.load.http.origin import Origin

__all__ = ["encode_request"]

_METHOD = re.compile(r"[A-Z]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# A space, a control sign or a line break in a target or a header value would make another request.
_TARGET = re.compile(r"/[\x21-\x7e]*")
_FORBIDDEN_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def encode_request(
    origin: Origin, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> bytes:
    """Return the whole request; ``path`` begins with a slash and is percent-encoded already.

    Raises:
        ValueError: a method, path or header that HTTP/1.1 cannot carry.
    """
    if not _METHOD.fullmatch(method):
        raise ValueError(f"method {method!r} is not in capitals")
    if not _TARGET.fullmatch(path):
        raise ValueError(f"path {path!r} must begin with / and be percent-encoded")
    lines = [f"{method} {origin.prefix}{path} HTTP/1.1", f"Host: {origin.authority}"]
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or _FORBIDDEN_IN_VALUE.search(value):
            raise ValueError(f"header {name!r} has a name or value that cannot be sent")
        lines.append(f"{name}: {value}")
    if body or method in {"POST", "PUT", "PATCH"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "strict") + body
