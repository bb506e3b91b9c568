"""Header fields of requests: those of a session, laid under those of one request."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping

from requests.structures import CaseInsensitiveDict

__all__ = ["SessionHeaders", "basic_auth", "check_field"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# A line break in a value would make another header, or another request.
_FORBIDDEN_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def check_field(name: str, value: str) -> None:
    """Check that a header can be sent.

    Raises:
        ValueError: HTTP/1.1 cannot carry it.
    """
    if not _NAME.fullmatch(name) or _FORBIDDEN_IN_VALUE.search(value):
        raise ValueError(f"header {name!r} has a name or value that cannot be sent")


def basic_auth(auth: object) -> str:
    """Return the ``Authorization`` of a user and a password.

    Raises:
        TypeError: it is no pair of them.
    """
    if not isinstance(auth, tuple | list) or len(auth) != 2:
        raise TypeError(
            f"auth is {type(auth).__name__}, which surgeproof's client does not support;"
            " accepted: a tuple of user and password"
        )
    user, password = (
        part if isinstance(part, bytes) else str(part).encode("latin-1") for part in auth
    )
    return f"Basic {b64encode(user + b':' + password).decode('ascii')}"


class SessionHeaders(CaseInsensitiveDict[str]):
    """Headers that go with every request of a session; a change counts from the next one on."""

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        self._block: str | None = None
        super().__init__(fields)

    def __setitem__(self, name: str, value: str) -> None:
        self._block = None
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        self._block = None
        super().__delitem__(name)

    def block(self) -> str:
        """Return all fields as lines, made once for many requests.

        Raises:
            ValueError: HTTP/1.1 cannot carry one of them.
        """
        if self._block is None:
            self._block = lines_of(self)
        return self._block

    def block_with(self, own: Mapping[str, str | None]) -> str:
        """Return the lines with a request's own fields laid over; None takes one away.

        Raises:
            ValueError: HTTP/1.1 cannot carry one of them.
        """
        lower = {name.lower() for name in own}
        kept = {name: value for name, value in self.items() if name.lower() not in lower}
        kept.update({name: value for name, value in own.items() if value is not None})
        return lines_of(kept)


def lines_of(fields: Mapping[str, str]) -> str:
    lines = []
    for name, value in fields.items():
        text = str(value)
        check_field(name, text)
        lines.append(f"{name}: {text}\r\n")
    return "".join(lines)
