"""What our client returns: the answer with the attributes that plain code reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from locust.event import EventHook
from locust.exception import CatchResponseError, LocustError, ResponseError
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import HTTPError, JSONDecodeError
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from surgeproof.load.plain.client.channel import Exchange

__all__ = ["Asked", "Reply"]


class Asked:
    """The request that an answer belongs to, as it was sent."""

    __slots__ = ("body", "headers", "method", "url")

    def __init__(self, method: str, url: str, headers: dict[str, str], body: bytes) -> None:
        self.method, self.url, self.headers, self.body = method, url, headers, body


class Reply:
    """An answer, or the lack of one: then ``status_code`` is 0 and ``error`` says why.

    With ``catch_response`` it is used in a ``with`` block, where `success` and `failure` decide;
    the request event is fired at the block's end. What `requests.Response` has besides this is an
    AttributeError that names it.
    """

    def __init__(
        self,
        asked: Asked,
        exchange: Exchange,
        event: EventHook,
        request_meta: dict[str, Any],
    ) -> None:
        self.request = asked
        self.url = asked.url
        self.exchange = exchange
        self.request_meta = request_meta
        self.error: Exception | None = None
        self.history: list[Reply] = []
        self.encoding: str | None = None
        self._fire: Callable[..., None] = event.fire
        self._manual: bool | Exception | None = None
        self._can_catch = False
        self._is_entered = False

    # -- reading ----------------------------------------------------------------------------------

    @property
    def status_code(self) -> int:
        raw = self.exchange.raw
        return 0 if raw is None else raw.status

    @property
    def content(self) -> bytes:
        raw = self.exchange.raw
        return b"" if raw is None else raw.body

    @property
    def headers(self) -> CaseInsensitiveDict[str]:
        """The headers; of those that are there twice, the values with a comma between."""
        found: CaseInsensitiveDict[str] = CaseInsensitiveDict()
        raw = self.exchange.raw
        for name, value in () if raw is None else raw.headers:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            found[key] = f"{found[key]}, {text}" if key in found else text
        return found

    @property
    def text(self) -> str:
        """The body as text; without a charset in ``Content-Type`` it is read as UTF-8."""
        encoding = self.encoding or get_encoding_from_headers(self.headers) or "utf-8"
        try:
            return self.content.decode(encoding, "replace")
        except LookupError:  # a charset that nobody knows
            return self.content.decode("utf-8", "replace")

    def json(self, **options: Any) -> Any:
        """Return the body read as JSON.

        Raises:
            JSONDecodeError: it is no JSON (of `requests`, which is one of `json` too).
        """
        try:
            return json.loads(self.content, **options)
        except json.JSONDecodeError as error:
            raise JSONDecodeError(error.msg, error.doc, error.pos) from error
        except UnicodeDecodeError as error:
            raise JSONDecodeError(str(error), "", 0) from error

    @property
    def ok(self) -> bool:
        """Whether the status is below 400; never true without an answer."""
        return 0 < self.status_code < 400

    @property
    def reason(self) -> str:
        """The usual phrase of the status, whatever the server wrote."""
        try:
            return HTTPStatus(self.status_code).phrase
        except ValueError:
            return ""

    @property
    def is_redirect(self) -> bool:
        return "location" in self.headers and self.status_code in {301, 302, 303, 307, 308}

    @property
    def elapsed(self) -> timedelta:
        """From the request's start to the first byte of the answer, as `requests` counts it."""
        exchange = self.exchange
        if exchange.start is None or exchange.first_byte is None:
            return timedelta(0)
        return timedelta(seconds=exchange.first_byte - exchange.start)

    def raise_for_status(self) -> None:
        """Raise what went wrong.

        Raises:
            HTTPError: the status is 400 or more.
            ConnectionError: there is no answer (of `requests`).
            Exception: what `failure` was given.
        """
        if self._manual is True:
            return
        error = self._manual or self._complaint()
        if error is not None:
            raise error

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"response.{name} is not supported by surgeproof's client;"
            " accepted: Locust's own (load.client: locust)"
        )

    # -- catching ---------------------------------------------------------------------------------

    def success(self) -> None:
        """Report the request as good, whatever its status.

        Raises:
            LocustError: outside of a ``with`` block.
        """
        self._require_block("success")
        self._manual = True

    def failure(self, exc: object) -> None:
        """Report the request as failed.

        Raises:
            LocustError: outside of a ``with`` block.
        """
        self._require_block("failure")
        self._manual = exc if isinstance(exc, Exception) else CatchResponseError(exc)

    def __enter__(self) -> Self:
        if not self._can_catch:
            raise LocustError("a with block needs catch_response=True on the request")
        self._is_entered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        # The rules of Locust's own responses: what was decided by hand stands; an exception of
        # the block passes, unreported, unless it is about the response.
        if self._manual is not None:
            self.report(None if self._manual is True else self._manual)
            return kind is None
        if error is None:
            self.report(self._complaint())
            return True
        if isinstance(error, ResponseError):
            self.report(error)
            return True
        return False

    def let_catch(self) -> Self:
        """Wait with the request event for the end of a ``with`` block."""
        self._can_catch = True
        return self

    def report(self, exception: object) -> None:
        """Fire the request event."""
        self.request_meta["exception"] = exception
        self._fire(**self.request_meta)

    def report_as_answered(self) -> Self:
        """Fire the request event by what came back."""
        self.report(self._complaint())
        return self

    def _complaint(self) -> Exception | None:
        status = self.status_code
        if 0 < status < 400:
            return None
        if self.error is not None:
            return self.error
        whose = "Client" if status < 500 else "Server"
        # With the name in it and not the url: Locust groups failures by their text.
        text = f"{status} {whose} Error: {self.reason} for url: {self.request_meta['name']}"
        return HTTPError(text)

    def _require_block(self, what: str) -> None:
        if not self._is_entered:
            raise LocustError(
                f"response.{what}() needs `with self.client.request(..., catch_response=True)`"
            )


def no_answer(error: Exception) -> RequestsConnectionError:
    """Return an error of `requests` that stands for one of the transport."""
    wrapped = RequestsConnectionError(str(error))
    wrapped.__cause__ = error
    return wrapped
