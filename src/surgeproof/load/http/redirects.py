"""Redirects that a request asked to follow: where to, with which method, and what is refused.

Load goes to the target only, so a redirect to another origin is never followed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from surgeproof.errors import UsageError
from surgeproof.load.http.attempt import RawResponse, TransportError
from surgeproof.load.http.origin import Origin

__all__ = ["MAX_HOPS", "Hop", "Redirects", "is_redirect", "next_hop"]

# As most clients have it; a longer chain is a loop whose addresses differ (a counter, a token).
MAX_HOPS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Everything that a target may hold already stays, `%` too; what else is there is escaped.
_SAFE = "/%:@!$&'()*+,;=~?[]-._"
_WITH_CONTROLS = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Hop:
    """The request that a redirect leads to; ``path`` is below the base URL's prefix."""

    method: str
    path: str
    keeps_body: bool


class Redirects:
    """The redirects that one request of a journey follows; ``next`` is what is to be sent next."""

    def __init__(self, origin: Origin, *, is_repeatable: bool = True) -> None:
        self._origin, self._is_repeatable = origin, is_repeatable
        self._count = 0
        self.next: Hop | None = None

    def take(self, method: str, path: str, response: RawResponse) -> bool:
        """Note where the answer to ``method path`` leads; tell whether it leads anywhere.

        Raises:
            TransportError: ``redirects`` after too many, else as `next_hop`.
        """
        self.next = None
        if not is_redirect(response.status):
            return False
        self._count += 1
        if self._count > MAX_HOPS:
            raise TransportError("redirects", f"more than {MAX_HOPS} redirects, at last to {path}")
        found = next((value for name, value in response.headers if name == b"location"), None)
        # Bytes beyond ASCII are sent back as they came, whatever they mean.
        location = None if found is None else found.decode("ascii", "surrogateescape")
        hop = next_hop(self._origin, method, path, response.status, location)
        if hop.keeps_body and not self._is_repeatable:
            raise TransportError("redirect_refused", "a streamed body cannot be sent again")
        self.next = hop
        return True


def is_redirect(status: int) -> bool:
    """Tell whether a status leads elsewhere (304 and 300 do not)."""
    return status in _REDIRECTS


def next_hop(origin: Origin, method: str, path: str, status: int, location: str | None) -> Hop:
    """Return what to send after a redirect of ``method path``.

    303 is followed by a GET (a HEAD stays one), 301 and 302 turn a POST into a GET, 307 and 308
    keep method and body (RFC 9110, section 15.4). Only absolute and relative references within
    the origin and its prefix are followed; a fragment is dropped.

    Raises:
        TransportError: ``redirect_refused``, when the location is missing, cannot be read or
            leads away from the target.
    """
    if location is None or not location.strip() or _WITH_CONTROLS.search(location.strip()):
        raise _refused(f"status {status} with the location {location!r}")
    try:
        there = urlsplit(urljoin(f"http://{origin.authority}{origin.prefix}{path}", location))
        if urlsplit(location).scheme:
            is_elsewhere = not _is_same(origin, location)
        elif location.startswith("//"):
            scheme = "https" if origin.is_tls else "http"
            is_elsewhere = not _is_same(origin, f"{scheme}:{location}")
        else:
            is_elsewhere = False
    except ValueError as error:
        raise _refused(f"the location {location[:200]!r} cannot be read: {error}") from error
    target = _quoted(there.path or "/")
    is_below = target == origin.prefix or target.startswith(f"{origin.prefix}/")
    if is_elsewhere or not is_below:
        raise _refused(f"{location[:200]!r} leads away from the target {origin.url}")
    target = target[len(origin.prefix) :] or "/"
    if there.query:
        target += "?" + _quoted(there.query)
    turns_to_get = (status == 303 and method != "HEAD") or (
        status in {301, 302} and method == "POST"
    )
    return Hop("GET" if turns_to_get else method, target, keeps_body=not turns_to_get)


def _is_same(origin: Origin, url: str) -> bool:
    parts = urlsplit(url)
    if parts.username is not None:
        return False
    try:
        there = Origin.parse(f"{parts.scheme}://{parts.netloc}")
    except UsageError:
        return False
    if origin.socket_path is not None:
        # Behind a Unix socket the service knows itself by the Host header, whatever its scheme.
        return there.authority == origin.authority and not there.is_tls
    return (there.is_tls, there.host, there.port) == (origin.is_tls, origin.host, origin.port)


def _quoted(text: str) -> str:
    return quote(text, safe=_SAFE, errors="surrogateescape")


def _refused(detail: str) -> TransportError:
    return TransportError("redirect_refused", detail)
