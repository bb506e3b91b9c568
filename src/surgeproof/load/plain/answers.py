"""What a request event of any Locust client says, read by the rules of the journal's contract."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from surgeproof.load.http.attempt import RawResponse, TransportError
from surgeproof.load.outcomes import Judgement, judge
from surgeproof.load.plain.client.channel import Exchange
from surgeproof.model.words import Outcome

__all__ = ["Told", "error_kind_of", "read_event"]

_UNKNOWN = "exception"
# Names and not classes: requests, urllib3 and geventhttpclient have one each, and a locustfile
# may bring a client of its own.
_BY_CLASS_NAME: Mapping[str, str] = {
    "ConnectTimeout": "connect_timeout",
    "ConnectTimeoutError": "connect_timeout",
    "ReadTimeout": "read_timeout",
    "ReadTimeoutError": "read_timeout",
    "Timeout": "timeout",
    "NameResolutionError": "dns",
    "RemoteDisconnected": "closed",
    "IncompleteRead": "closed",
    "HTTPConnectionClosed": "closed",
    "ChunkedEncodingError": "closed",
    "HTTPParseError": "protocol",
    "BadStatusLine": "protocol",
    "LineTooLong": "protocol",
    "ContentDecodingError": "protocol",
    "TooManyRedirects": "redirects",
    "RetriesExceeded": "redirects",
}
_BY_NUMBER: Mapping[int, str] = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "ports",
    errno.EMFILE: "descriptors",
    errno.ENFILE: "descriptors",
    errno.ETIMEDOUT: "connect_timeout",
}
_BY_CLASS = ((socket.gaierror, "dns"), (ssl.SSLError, "tls"), (TimeoutError, "timeout"))
_HEADERS_READ = ("retry-after", "degraded")


@dataclass(frozen=True, slots=True)
class Told:
    """What an event says of its request besides its times.

    ``first_byte`` (CLOCK_MONOTONIC) and what was sent only our own client knows.
    """

    status: int
    judgement: Judgement
    sent_bytes: int | None
    received_bytes: int | None
    first_byte: float | None = None


def read_event(event: Mapping[str, Any]) -> Told:
    """Return status, outcome and sizes of the request that an event's arguments tell of.

    A failure that user code declared on a good status is ``wrong``; a success that it declared on
    a bad one makes that status expected. An event without a response (another protocol than
    HTTP) is full unless it carries an exception.
    """
    response, exception = event.get("response"), event.get("exception")
    exchange = getattr(response, "exchange", None)
    if isinstance(exchange, Exchange):
        sent: int | None = exchange.sent_bytes
        received: int | None = exchange.received_bytes
        raw = exchange.raw
    else:
        sent, received, raw = None, event.get("response_length"), _raw_of(response)
    status = raw.status if raw is not None else 0
    first_byte = exchange.first_byte if isinstance(exchange, Exchange) else None
    return Told(status, _judge(raw, exception), sent, received, first_byte)


def error_kind_of(exception: BaseException) -> str:
    """Return the kind of a failure, looking through the exceptions that others were wrapped in."""
    kinds = (_kind_of(each) for each in _chain(exception))
    return next((kind for kind in kinds if kind), _UNKNOWN)


def _kind_of(error: BaseException) -> str:
    """Return the kind that an exception itself tells of, empty if none."""
    if isinstance(error, TransportError):
        return error.kind
    kind = _BY_CLASS_NAME.get(type(error).__name__, "")
    if not kind and isinstance(error, OSError):
        kind = next((kind for each, kind in _BY_CLASS if isinstance(error, each)), "")
        kind = kind or _BY_NUMBER.get(error.errno or 0, "")
    return kind


def _judge(raw: RawResponse | None, exception: BaseException | None) -> Judgement:
    if raw is None:
        if exception is None:
            return Judgement(Outcome.FULL, "", "")
        return Judgement(Outcome.ERROR, error_kind_of(exception), "", str(exception))
    if exception is None:
        return judge(raw, expected=(raw.status,))
    judgement = judge(raw)
    if judgement.outcome not in {Outcome.FULL, Outcome.DEGRADED}:
        return judgement
    kind = error_kind_of(exception)
    if kind != _UNKNOWN:
        # The head was good, and then the connection broke.
        return Judgement(Outcome.ERROR, kind, "", str(exception))
    return Judgement(Outcome.WRONG, "check", judgement.degraded, str(exception))


def _raw_of(response: Any) -> RawResponse | None:
    status = getattr(response, "status_code", None)
    if not isinstance(status, int) or not status:
        return None
    headers = getattr(response, "headers", None)
    read = [] if headers is None else [(name, headers.get(name)) for name in _HEADERS_READ]
    return RawResponse(
        status,
        [(name.encode(), str(value).encode("latin-1", "replace")) for name, value in read if value],
        _body_of(response),
        can_keep_alive=False,
    )


def _body_of(response: Any) -> bytes:
    """Return the body as far as it was read: a streamed one belongs to whoever streams it."""
    for place in ("_content", "_cached_content"):  # of requests, of geventhttpclient
        body = getattr(response, place, None)
        if isinstance(body, bytes):
            return body
    return b""


def _chain(exception: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that it wraps, each once, the outermost first."""
    seen: set[int] = set()
    waiting: list[BaseException] = [exception]
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
        waiting += [one for one in inner if isinstance(one, BaseException)]
