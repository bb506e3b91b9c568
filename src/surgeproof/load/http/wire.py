"""A request as bytes, built once from its parts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from surgeproof.load.http.origin import Origin

__all__ = ["RequestEncoder"]

_METHOD = re.compile(r"[A-Z]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# A space, a control sign or a line break in a target or a header value would make another request.
_is_target = re.compile(r"/[\x21-\x7e]*").fullmatch
_FORBIDDEN_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_KNOWN = _WITH_BODY | {"GET", "HEAD", "DELETE", "OPTIONS"}
# Header blocks are kept, for the same few (a token for each viewer, say) are sent over and over.
_MOST_BLOCKS = 4096


class RequestEncoder:
    """Builds requests to one origin that all have some headers in common.

    A request's own headers replace common ones of the same name, whatever its case.
    """

    def __init__(self, origin: Origin, common: Mapping[str, str]) -> None:
        self._origin = origin
        self._common = {"User-Agent": "surgeproof", "Accept": "*/*", **_by_name(common)}
        self._blocks: dict[object, str] = {}

    @property
    def origin(self) -> Origin:
        """Where the requests go."""
        return self._origin

    def encode(
        self,
        method: str,
        path: str,
        own: Mapping[str, str] | None = None,
        body: bytes = b"",
        content_type: str | None = None,
    ) -> bytes:
        """Return the whole request; ``path`` begins with a slash and is percent-encoded already.

        Raises:
            ValueError: a method, path or header that HTTP/1.1 cannot carry.
        """
        block = self._block(method, path, own, content_type)
        head = f"{method} {self._origin.prefix}{path} HTTP/1.1\r\n{block}"
        if body or method in _WITH_BODY:
            return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body
        return f"{head}\r\n".encode("latin-1")

    def encode_head(
        self,
        method: str,
        path: str,
        own: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> bytes:
        """Return a request's head whose body follows in chunks.

        Raises:
            ValueError: as `encode`.
        """
        block = self._block(method, path, own, content_type)
        head = f"{method} {self._origin.prefix}{path} HTTP/1.1\r\n{block}"
        return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode("latin-1")

    def _block(
        self, method: str, path: str, own: Mapping[str, str] | None, content_type: str | None
    ) -> str:
        if method not in _KNOWN and not _METHOD.fullmatch(method):
            raise ValueError(f"method {method!r} is not in capitals")
        if not _is_target(path):
            raise ValueError(f"path {path!r} must begin with / and be percent-encoded")
        key = (content_type, tuple(own.items())) if own else content_type
        block = self._blocks.get(key)
        if block is None:
            if len(self._blocks) >= _MOST_BLOCKS:
                self._blocks.clear()
            block = self._blocks[key] = self._build(own or {}, content_type)
        return block

    def _build(self, own: Mapping[str, str], content_type: str | None) -> str:
        fields = {name.lower(): (name, value) for name, value in self._common.items()}
        if content_type is not None:
            fields["content-type"] = ("Content-Type", content_type)
        fields |= {name.lower(): (name, value) for name, value in own.items()}
        host = fields.pop("host", ("Host", self._origin.authority))
        lines = []
        for name, value in (host, *fields.values()):
            if not _HEADER_NAME.fullmatch(name) or _FORBIDDEN_IN_VALUE.search(value):
                raise ValueError(f"header {name!r} has a name or value that cannot be sent")
            lines.append(f"{name}: {value}\r\n")
        return "".join(lines)


def _by_name(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers whose names differ in more than case; the last of several stands."""
    found = {name.lower(): (name, value) for name, value in headers.items()}
    return dict(found.values())
