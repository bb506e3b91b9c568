"""Declared requests: journeys of one request that is known beforehand, and needs no code to run.

They are the engine's fast tier: the bytes are built once, and no coroutine runs for an arrival.
"""

from __future__ import annotations

import json as json_text
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from surgeproof.errors import UsageError
from surgeproof.load.http import RequestEncoder

__all__ = ["DeclaredRequest", "request"]

Paths = str | Sequence[str]
Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DeclaredRequest:
    """What `request` returns; see there."""

    name: str
    method: str
    path: Paths | Callable[[Any], Paths]
    headers: Headers | Callable[[Any], Headers]
    body: bytes
    content_type: str | None
    expect: frozenset[int]
    weight: float
    tags: frozenset[str]

    def encode(self, scenario: object, encoder: RequestEncoder) -> tuple[bytes, ...]:
        """Return the request as bytes, once for each of its paths.

        Raises:
            UsageError: there is no path, or it cannot be put into HTTP/1.1.
        """
        paths = self.path(scenario) if callable(self.path) else self.path
        headers = self.headers(scenario) if callable(self.headers) else self.headers
        listed = (paths,) if isinstance(paths, str) else tuple(paths)
        if not listed:
            raise UsageError(f"request {self.name!r} has no path; accepted: one or more")
        try:
            return tuple(
                encoder.encode(self.method, path, headers, self.body, self.content_type)
                for path in listed
            )
        except ValueError as error:
            raise UsageError(f"request {self.name!r}: {error}") from error


def request(
    method: str,
    path: Paths | Callable[[Any], Paths],
    *,
    name: str | None = None,
    headers: Headers | Callable[[Any], Headers] | None = None,
    json: object | None = None,
    data: bytes = b"",
    expect: Sequence[int] = (),
    weight: float = 1.0,
    tags: Sequence[str] = (),
) -> DeclaredRequest:
    """Declare a journey of one request, as an attribute of a user class.

    ``path`` is percent-encoded; of several, arrivals take one after the other, by their place in
    the schedule. A function in its place, or in that of ``headers``, is called with the user once
    after ``prepare``: for a token or an id found there. ``name`` is what mixes and samples call
    it, ``METHOD path`` if not given. ``expect`` holds statuses that are fine besides 2xx and 3xx.

    Raises:
        UsageError: there is no name and the path is not a single one.
    """
    if name is None:
        if not isinstance(path, str):
            raise UsageError(f"a {method} request with other than one fixed path needs a name")
        name = f"{method} {path.partition('?')[0]}"
    body, content_type = data, None
    if json is not None:
        body = json_text.dumps(json, separators=(",", ":")).encode()
        content_type = "application/json"
    return DeclaredRequest(
        name=name,
        method=method,
        path=path,
        headers=headers or {},
        body=body,
        content_type=content_type,
        expect=frozenset(expect),
        weight=weight,
        tags=frozenset(tags),
    )
