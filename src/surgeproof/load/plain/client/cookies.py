"""Cookies of a session, in the jar that plain code knows from `requests`."""

from __future__ import annotations

from email.message import Message
from typing import Any

from requests.cookies import MockRequest, RequestsCookieJar, get_cookie_header

from surgeproof.load.http.attempt import RawResponse

__all__ = ["cookie_header", "keep_cookies"]


class _Asked:
    """As much of a request as cookie rules look at."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: dict[str, str] = {}


class _Answered:
    """As much of a response as a jar reads."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def info(self) -> Message:
        return self._message


def cookie_header(jar: RequestsCookieJar, url: str) -> str | None:
    """Return the ``Cookie`` header for a url, None where no cookie goes there."""
    asked: Any = _Asked(url)  # no request of `requests`, but all that is looked at
    return get_cookie_header(jar, asked)  # type: ignore[no-any-return, no-untyped-call]


def keep_cookies(jar: RequestsCookieJar, raw: RawResponse, url: str) -> None:
    """Put the cookies that an answer sets into a jar; nothing is done where there are none."""
    message: Message | None = None
    for name, value in raw.headers:
        if name == b"set-cookie":
            message = message or Message()
            message["Set-Cookie"] = value.decode("latin-1")
    if message is not None:
        answered: Any = _Answered(message)
        asked: Any = MockRequest(_Asked(url))
        jar.extract_cookies(answered, asked)
