"""Cookies of one session against one origin: the essentials of RFC 6265.

Third-party rules, SameSite and public suffixes do not matter to a client that speaks to one origin
only. A jar is made when the first Set-Cookie is seen, so sessions without cookies pay nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from math import inf

__all__ = ["Cookie", "CookieJar", "parse_set_cookie"]

# RFC 6265, section 6.1: what a client should at least hold; a server that sets more is refused.
_MAX_COOKIE_BYTES = 4096
_MAX_COOKIES = 50
_MAX_AGE = re.compile(r"-?[0-9]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie; ``expires_at`` is on the jar's clock (seconds), infinite for a session's."""

    name: str
    value: str
    path: str
    expires_at: float
    is_secure: bool


class CookieJar:
    """What one session was given to keep.

    Times are seconds since the epoch, handed in with every call. Not thread-safe.
    """

    __slots__ = ("_cookies", "_host", "_is_tls")

    def __init__(self, host: str, *, is_tls: bool) -> None:
        self._host = host.lower()
        self._is_tls = is_tls
        self._cookies: dict[tuple[str, str], Cookie] = {}

    def __len__(self) -> int:
        return len(self._cookies)

    def store(self, set_cookie: str, request_path: str, now: float) -> None:
        """Keep, replace or drop a cookie, as a Set-Cookie header says; nonsense is ignored."""
        cookie = parse_set_cookie(
            set_cookie, host=self._host, request_path=request_path, is_tls=self._is_tls, now=now
        )
        if cookie is None:
            return
        key = (cookie.name, cookie.path)
        if cookie.expires_at <= now:
            self._cookies.pop(key, None)
            return
        if key not in self._cookies and len(self._cookies) >= _MAX_COOKIES:
            self._forget_expired(now)
            if len(self._cookies) >= _MAX_COOKIES:
                del self._cookies[next(iter(self._cookies))]
        self._cookies[key] = cookie

    def header(self, request_path: str, now: float) -> str:
        """Return the Cookie header's value for a path (a query is ignored), or an empty text."""
        if not self._cookies:
            return ""
        self._forget_expired(now)
        path = request_path.partition("?")[0]
        fitting = [
            cookie
            for cookie in self._cookies.values()
            if _path_matches(cookie.path, path) and (self._is_tls or not cookie.is_secure)
        ]
        # Longer paths first, then those set first (a dict keeps that order; the sort is stable).
        fitting.sort(key=lambda cookie: -len(cookie.path))
        return "; ".join(
            f"{cookie.name}={cookie.value}" if cookie.name else cookie.value for cookie in fitting
        )

    def _forget_expired(self, now: float) -> None:
        for key in [key for key, cookie in self._cookies.items() if cookie.expires_at <= now]:
            del self._cookies[key]


def parse_set_cookie(
    text: str, *, host: str, request_path: str, is_tls: bool, now: float
) -> Cookie | None:
    """Return the cookie of a Set-Cookie value, None if this client has to refuse it.

    One without a lifetime never expires; one whose lifetime is over has ``expires_at`` <= now.
    """
    if len(text) > _MAX_COOKIE_BYTES or _CONTROL.search(text):
        return None
    pair, *attributes = text.split(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", pair
    name, value = name.strip(), value.strip()
    if not name and not value:
        return None
    # The last attribute of a name counts (section 5.3).
    said = {
        key.strip().lower(): content.strip()
        for key, _, content in (attribute.partition("=") for attribute in attributes)
    }
    if said.get("domain") and not _domain_matches(said["domain"], host):
        return None
    is_secure = "secure" in said
    if is_secure and not is_tls:
        return None
    path = said.get("path", "")
    if not path.startswith("/"):
        path = _default_path(request_path)
    return Cookie(name, value, path, _expiry(said, now), is_secure)


def _expiry(said: Mapping[str, str], now: float) -> float:
    """Return when a cookie's life ends; Max-Age goes before Expires (section 5.3, step 3)."""
    if _MAX_AGE.fullmatch(said.get("max-age", "")):
        seconds = float(said["max-age"])
        return now + seconds if seconds > 0 else -inf
    moment = _moment(said["expires"]) if "expires" in said else None
    return inf if moment is None else moment


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text.replace("-", " ")).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


def _domain_matches(domain: str, host: str) -> bool:
    """Tell whether a host is of a domain (section 5.1.3)."""
    domain = domain.removeprefix(".").lower()
    if domain == host:
        return True
    return host.endswith(f".{domain}") and not _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _default_path(request_path: str) -> str:
    """Return the directory of a path (section 5.1.4)."""
    path = request_path.partition("?")[0]
    return path[: path.rfind("/")] or "/" if path.startswith("/") else "/"


def _path_matches(cookie_path: str, path: str) -> bool:
    """Tell whether a request's path is at or below a cookie's (section 5.1.4)."""
    if not path.startswith(cookie_path):
        return False
    return (
        len(path) == len(cookie_path) or cookie_path.endswith("/") or path[len(cookie_path)] == "/"
    )
