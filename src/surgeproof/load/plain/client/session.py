"""The session: requests as plain Locust code makes them, sent over our own connections."""

from __future__ import annotations

import contextlib
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from locust import User
from locust.event import EventHook
from requests.cookies import RequestsCookieJar
from requests.utils import requote_uri

from surgeproof.load.http.attempt import RawResponse, TransportError
from surgeproof.load.http.decoding import ACCEPTED_CODINGS, decoded
from surgeproof.load.http.origin import Origin, tls_context
from surgeproof.load.plain.arrival import current_arrival
from surgeproof.load.plain.client.channel import Exchange
from surgeproof.load.plain.client.channels import Channels
from surgeproof.load.plain.client.content import encode_content, with_params
from surgeproof.load.plain.client.cookies import cookie_header, keep_cookies
from surgeproof.load.plain.client.fields import SessionHeaders, basic_auth
from surgeproof.load.plain.client.reply import Asked, Reply, no_answer
from surgeproof.model.plan import Timeouts

__all__ = ["Session"]

_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 30
_METHOD = re.compile(r"[A-Z]+")
_TARGET = re.compile(r"/[\x21-\x7e]*")
_ACCEPTED_OPTIONS = (
    "name, catch_response, context, params, data, json, headers, cookies, files, auth, timeout,"
    " allow_redirects, verify"
)


class Session:
    """A client with the calls of Locust's own, to be ``self.client`` of a user.

    ``base_url`` is what paths are added to; ``headers``, ``cookies``, ``auth`` and ``verify`` are
    those of `requests.Session`. Each request fires ``request_event`` once. A session belongs to
    one user; connections belong to ``channels``, which sessions share.
    """

    def __init__(
        self,
        base_url: str,
        request_event: EventHook,
        user: User | None,
        channels: Channels,
        *,
        headers: Mapping[str, str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        base_url, self.auth = _without_password(base_url)
        self.base_url = base_url
        self.user = user
        self.headers = SessionHeaders(
            {
                "User-Agent": "surgeproof",
                "Accept-Encoding": ACCEPTED_CODINGS,
                "Accept": "*/*",
                **(headers or {}),
            }
        )
        self.cookies = RequestsCookieJar()
        self.verify: bool | str = True
        self.request_name: str | None = None
        self._event, self._channels, self._monotonic = request_event, channels, monotonic
        self._origin = Origin.parse(base_url)
        self._contexts: dict[bool | str, ssl.SSLContext] = {}

    # -- the calls --------------------------------------------------------------------------------

    def get(self, url: str, **options: Any) -> Reply:
        """Send a GET; the options are those of `request`."""
        return self.request("GET", url, **options)

    def options(self, url: str, **options: Any) -> Reply:
        """Send an OPTIONS; the options are those of `request`."""
        return self.request("OPTIONS", url, **options)

    def head(self, url: str, **options: Any) -> Reply:
        """Send a HEAD; redirects are followed only where asked for."""
        options.setdefault("allow_redirects", False)
        return self.request("HEAD", url, **options)

    def post(self, url: str, data: Any = None, json: Any = None, **options: Any) -> Reply:
        """Send a POST; the options are those of `request`."""
        return self.request("POST", url, data=data, json=json, **options)

    def put(self, url: str, data: Any = None, **options: Any) -> Reply:
        """Send a PUT; the options are those of `request`."""
        return self.request("PUT", url, data=data, **options)

    def patch(self, url: str, data: Any = None, **options: Any) -> Reply:
        """Send a PATCH; the options are those of `request`."""
        return self.request("PATCH", url, data=data, **options)

    def delete(self, url: str, **options: Any) -> Reply:
        """Send a DELETE; the options are those of `request`."""
        return self.request("DELETE", url, **options)

    def request(
        self,
        method: str,
        url: str,
        name: str | None = None,
        *,
        catch_response: bool = False,
        context: Mapping[str, Any] | None = None,
        params: Any = None,
        data: Any = None,
        json: Any = None,
        headers: Mapping[str, str | None] | None = None,
        cookies: Mapping[str, str] | None = None,
        files: Any = None,
        auth: Any = None,
        timeout: float | tuple[float | None, float | None] | None = None,
        allow_redirects: bool = True,
        verify: bool | str | None = None,
        **unsupported: Any,
    ) -> Reply:
        """Send a request and return its answer; a failure is an answer with status 0.

        The options are those of Locust's clients. ``timeout`` bounds dialling and each silence;
        the plan's total bounds the request whatever is said here.

        Raises:
            TypeError: an option is none of these.
            ValueError: the request cannot be put into HTTP/1.1.
        """
        refuse(unsupported)
        method = method.upper()
        body, content_type = encode_content(data, json, files)
        fields = dict(headers) if headers else {}
        if content_type and not any(each.lower() == "content-type" for each in fields):
            fields["Content-Type"] = content_type
        if auth is not None or self.auth is not None:
            fields.setdefault("Authorization", basic_auth(self.auth if auth is None else auth))
        target = with_params(url, params)
        # The name is what the code wrote: of a path that it made, each value is a name of its own.
        shown = name or self.request_name or target or "/"
        call = _Call(
            fields=fields,
            cookies=cookies,
            timeouts=self._timeouts(timeout),
            context=self._context(self.verify if verify is None else verify),
            allow_redirects=allow_redirects,
        )
        meta: dict[str, Any] = {
            "request_type": method,
            "name": shown,
            "context": {**(self.user.context() if self.user else {}), **(context or {})},
            "exception": None,
            "start_time": time.time(),
        }
        reply = self._exchange(method, target, body, call, meta)
        return reply.let_catch() if catch_response else reply.report_as_answered()

    @contextlib.contextmanager
    def rename_request(self, name: str) -> Iterator[None]:
        """Give the requests of a ``with`` block one name."""
        self.request_name = name
        try:
            yield
        finally:
            self.request_name = None

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"client.{name} is not supported by surgeproof's client;"
            " accepted: Locust's own (load.client: locust)"
        )

    # -- inside -----------------------------------------------------------------------------------

    def _exchange(
        self, method: str, target: str, body: bytes, call: _Call, meta: dict[str, Any]
    ) -> Reply:
        """Send a request and follow its redirects; nothing is fired yet."""
        began = self._monotonic()
        arrival = current_arrival()
        if arrival is not None:
            arrival.pending = (method, meta["name"], began)
        history: list[Reply] = []
        origin, path = self._resolve(target)
        while True:
            asked, data = self._encode(origin, method, path, body, call)
            reply = Reply(asked, Exchange(), self._event, meta)
            try:
                raw = self._channels.send(
                    origin,
                    data,
                    reply.exchange,
                    timeouts=call.timeouts,
                    is_head=method == "HEAD",
                    can_repeat=method in _REPEATABLE,
                    context=call.context,
                )
                reply.exchange.raw = decoded(raw)
                keep_cookies(self.cookies, raw, asked.url)
                step = self._next_step(method, asked.url, raw, call, history)
            except TransportError as error:
                reply.error, step = no_answer(error), None
                reply.exchange.raw = None
            reply.history = list(history)
            if step is None:
                break
            history.append(reply)
            method, keeps_body, (next_origin, path) = step
            body = body if keeps_body else b""
            call = call.for_redirect(keeps_body=keeps_body, is_same=next_origin == origin)
            origin = next_origin
        meta["response_time"] = (self._monotonic() - began) * 1e3
        meta["response_length"] = len(reply.content)
        meta["response"] = reply
        meta["url"] = (history[0] if history else reply).url
        if arrival is not None:
            arrival.pending = None
        return reply

    def _resolve(self, target: str) -> tuple[Origin, str]:
        """Return where a url goes, and the path there.

        Raises:
            ValueError: it is neither a path nor an http url.
        """
        if target.startswith("/"):
            path = self._origin.prefix + target
            origin = self._origin
        elif target[:8].lower().startswith(("http://", "https://")):
            origin, path = _absolute(target)
        elif not target or target.startswith("?"):
            origin, path = self._origin, f"{self._origin.prefix}/{target}"
        else:
            raise ValueError(f"url {target!r}; accepted: a path that begins with /, or http(s)://…")
        if not _TARGET.fullmatch(path) or "#" in path:
            path = requote_uri(path.partition("#")[0])
            if not _TARGET.fullmatch(path):
                raise ValueError(f"url {target!r} cannot be sent")
        return origin, path

    def _encode(
        self, origin: Origin, method: str, path: str, body: bytes, call: _Call
    ) -> tuple[Asked, bytes]:
        if not _METHOD.fullmatch(method):
            raise ValueError(f"method {method!r} is no word of letters")
        url = f"http{'s' if origin.is_tls else ''}://{origin.authority}{path}"
        fields = call.fields
        # The jar's own truth walks through it; without any cookie this is an empty dictionary.
        if self.cookies._cookies or call.cookies:  # type: ignore[attr-defined] # noqa: SLF001
            fields = {**fields, **self._cookie_field(url, call.cookies)}
        lines = self.headers.block_with(fields) if fields else self.headers.block()
        length = f"Content-Length: {len(body)}\r\n" if body or method in _WITH_LENGTH else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: {origin.authority}\r\n{lines}{length}\r\n"
        return Asked(method, url, fields, body), head.encode("latin-1") + body

    def _cookie_field(self, url: str, own: Mapping[str, str] | None) -> dict[str, str]:
        parts = [cookie_header(self.cookies, url)] if self.cookies else []
        parts += [f"{name}={value}" for name, value in (own or {}).items()]
        joined = "; ".join(part for part in parts if part)
        return {"Cookie": joined} if joined else {}

    def _next_step(
        self, method: str, url: str, raw: RawResponse, call: _Call, history: list[Reply]
    ) -> tuple[str, bool, tuple[Origin, str]] | None:
        """Return method, whether the body stays, and place of a redirect; None if it is none.

        Raises:
            TransportError: ``redirects``: there are too many, or one leads nowhere.
        """
        if raw.status not in _REDIRECTS or not call.allow_redirects:
            return None
        place = next((value for name, value in raw.headers if name == b"location"), None)
        if place is None:
            return None
        if len(history) >= _MOST_REDIRECTS:
            raise TransportError("redirects", f"more than {_MOST_REDIRECTS} redirects")
        try:
            where = self._resolve(urljoin(url, place.decode("latin-1")))
        except ValueError as error:
            raise TransportError("redirects", str(error)) from error
        # As browsers and `requests` do: 303 always becomes a GET, 301 and 302 a POST only.
        turns_to_get = (raw.status == 303 and method != "HEAD") or (
            raw.status in {301, 302} and method == "POST"
        )
        return ("GET", False, where) if turns_to_get else (method, True, where)

    def _timeouts(self, timeout: object) -> Timeouts:
        usual = self._channels.timeouts
        if timeout is None:
            return usual
        connect_s, read_s = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        for value in (connect_s, read_s):
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise ValueError(
                    f"timeout {timeout!r}; accepted: seconds above 0, or a pair of them"
                )
        return Timeouts(
            usual.connect_s if connect_s is None else float(connect_s),
            usual.read_s if read_s is None else float(read_s),
            usual.total_s,
        )

    def _context(self, verify: bool | str) -> ssl.SSLContext | None:
        """Return the trust of a request, None for that of the connections themselves."""
        if verify is True:
            return None
        known = self._contexts.get(verify)
        if known is None:
            known = tls_context(Path(verify) if verify else None)
            if not verify:
                known.check_hostname = False
                known.verify_mode = ssl.CERT_NONE
            self._contexts[verify] = known
        return known


class _Call:
    """What stays the same over the redirects of one request."""

    __slots__ = ("allow_redirects", "context", "cookies", "fields", "timeouts")

    def __init__(
        self,
        *,
        fields: dict[str, Any],
        cookies: Mapping[str, str] | None,
        timeouts: Timeouts,
        context: ssl.SSLContext | None,
        allow_redirects: bool,
    ) -> None:
        self.fields, self.cookies, self.timeouts = fields, cookies, timeouts
        self.context, self.allow_redirects = context, allow_redirects

    def for_redirect(self, *, keeps_body: bool, is_same: bool) -> _Call:
        """Return the call for the next place: secrets stay with the origin that they are for."""
        gone = set() if keeps_body else {"content-type"}
        gone |= set() if is_same else {"authorization", "cookie"}
        return _Call(
            fields={name: each for name, each in self.fields.items() if name.lower() not in gone},
            cookies=self.cookies if is_same else None,
            timeouts=self.timeouts,
            context=self.context,
            allow_redirects=True,
        )


def refuse(options: Mapping[str, Any]) -> None:
    """Refuse options of Locust's clients that this one lacks, unless they ask for nothing.

    Raises:
        TypeError: one does.
    """
    asked = [name for name, value in options.items() if value not in (None, False)]
    if asked:
        raise TypeError(
            f"request option {', '.join(map(repr, asked))} is not supported by surgeproof's client;"
            f" accepted: {_ACCEPTED_OPTIONS}, or Locust's own client (load.client: locust)"
        )


def _absolute(url: str) -> tuple[Origin, str]:
    parts = urlsplit(url)
    try:
        origin = Origin.parse(f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2]}")
    except Exception as error:
        raise ValueError(f"url {url!r} cannot be used: {error}") from error
    query = f"?{parts.query}" if parts.query else ""
    return origin, f"{parts.path or '/'}{query}"


def _without_password(base_url: str) -> tuple[str, tuple[str, str] | None]:
    """Return a base url without user and password, and these for basic authentication."""
    parts = urlsplit(base_url)
    if not (parts.username and parts.password):
        return base_url, None
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return bare, (unquote(parts.username), unquote(parts.password))
