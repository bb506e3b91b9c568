"""The client that journeys use: every attempt becomes a sample, and no answer is an exception."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Container, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, Protocol, TypeVar

from surgeproof.load.http import Attempt, RawResponse, RequestEncoder, TransportError
from surgeproof.load.http.body import Body, Data, Files, encode_body, is_repeatable
from surgeproof.load.http.cookies import CookieJar
from surgeproof.load.http.decoding import decoded
from surgeproof.load.http.redirects import Redirects
from surgeproof.load.journeys import CURRENT_ARRIVAL, Arrival
from surgeproof.load.outcomes import Judgement, find_header, judge
from surgeproof.load.recorder import OUTCOMES, REDIRECTED, Recorder
from surgeproof.load.websocket import WebSocket, WebSocketOrder, upgrade
from surgeproof.load.websocket_wire import MAX_MESSAGE_BYTES, WebSocketWire
from surgeproof.model.plan import Timeouts
from surgeproof.model.words import Outcome

__all__ = ["Check", "Client", "ClientSettings", "Response", "Sender"]

Spoken = TypeVar("Spoken", bound=asyncio.BaseProtocol)

_MOST_STEPS = 2**16 - 1
_NO_RESPONSE = RawResponse(0, [], b"", can_keep_alive=False)
_UNFINISHED = Judgement(Outcome.ERROR, "unfinished", "")
_CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}


class Call(Protocol):
    """An attempt under way, measured as it goes: what `surgeproof.load.http.Attempt` says."""

    start: float
    first_byte: float
    end: float
    sent_bytes: int
    received_bytes: int

    @property
    def answer(self) -> Awaitable[RawResponse]:
        """The answer; waiting for it raises TransportError where there is none."""
        ...

    def abandon(self) -> None:
        """Nobody waits any more."""
        ...


class Sender(Protocol):
    """What makes one attempt; `surgeproof.load.http.Transport` is it."""

    def begin(
        self,
        data: bytes,
        *,
        is_head: bool = False,
        limits: Timeouts | None = None,
        rest: Iterable[bytes] | None = None,
    ) -> Call:
        """Begin one attempt."""
        ...

    async def dial(self, make_protocol: Callable[[], Spoken], timeout_s: float) -> Spoken:
        """Return a protocol on a connection of its own, or raise TransportError."""
        ...


class Response:
    """The answer to a request, or the lack of one: then ``status`` is 0 and ``body`` empty."""

    __slots__ = ("_raw", "degraded", "detail", "error_kind", "outcome")

    def __init__(self, raw: RawResponse, judgement: Judgement) -> None:
        self._raw = raw
        self.outcome = judgement.outcome
        self.error_kind = judgement.error_kind
        self.degraded = judgement.degraded
        # What went wrong, in words for people; empty if nothing did.
        self.detail = judgement.detail

    @property
    def status(self) -> int:
        return self._raw.status

    @property
    def body(self) -> bytes:
        return self._raw.body

    @property
    def text(self) -> str:
        return self._raw.body.decode("utf-8", "replace")

    @property
    def is_served(self) -> bool:
        """The answer is full or degraded: what a user would call served."""
        return self.outcome in {Outcome.FULL, Outcome.DEGRADED}

    @property
    def is_indefinite(self) -> bool:
        """Whether the request took effect is unknown (see `Client.request`)."""
        return self.outcome is Outcome.ERROR and (self.status == 0 or self.status >= 500)

    def header(self, name: str) -> str | None:
        """Return a header's first value, None if it is not there; the name's case is free."""
        return find_header(self._raw, name.lower().encode("latin-1"))

    def json(self) -> Any:
        """Return the body read as JSON.

        Raises:
            ValueError: it is no JSON.
        """
        return json.loads(self._raw.body)


# Returns None or True if the answer is right, else False or what is wrong with it.
Check = Callable[[Response], bool | str | None]


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What is the same for all requests of a generator."""

    limits: Timeouts
    names_by_journey: bool


class Client:
    """Sends requests. Within a journey each attempt is journalled, in ``prepare`` none is.

    ``t0`` is where the run's time begins, in CLOCK_MONOTONIC seconds.
    """

    def __init__(
        self,
        sender: Sender,
        encoder: RequestEncoder,
        settings: ClientSettings,
        recorder: Recorder,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._sender = sender
        self._encoder = encoder
        self._settings = settings
        self._recorder = recorder
        self._wall_clock = wall_clock
        # Of requests outside of arrivals; each arrival has a jar of its own.
        self._cookies: CookieJar | None = None
        self.t0 = 0.0

    def get(self, path: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send a GET; the options are those of `request`."""
        # The most frequent of all calls: each step between here and the wire is felt.
        if options and "follow_redirects" in options:
            return self.request("GET", path, **options)
        return self._send("GET", path, **options)

    def post(self, path: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send a POST; the options are those of `request`."""
        if options and "follow_redirects" in options:
            return self.request("POST", path, **options)
        return self._send("POST", path, **options)

    def put(self, path: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send a PUT; the options are those of `request`."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send a PATCH; the options are those of `request`."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send a DELETE; the options are those of `request`."""
        return self.request("DELETE", path, **options)

    def head(self, path: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send a HEAD; the options are those of `request`."""
        return self.request("HEAD", path, **options)

    def websocket(
        self,
        path: str,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        timeout_s: float | None = None,
    ) -> WebSocket:
        """Return a WebSocket, which ``async with`` opens and closes.

        The handshake is a sample, full if it is answered by 101, and so is each message that is
        received under a name. The connection is one of its own, beside those for requests.
        ``timeout_s`` is for the handshake, and for messages that do not say otherwise.

        Raises:
            ValueError: the handshake cannot be put into HTTP/1.1.
        """
        encoder, sender = self._encoder, self._sender
        arrival = CURRENT_ARRIVAL.get()
        name = name or self._name(arrival, "WS", path)
        request = encoder.encode("GET", path, self._with_cookies(arrival, path, headers))

        def make_wire() -> WebSocketWire:
            return WebSocketWire(
                encoder.origin,
                asyncio.get_running_loop(),
                max_message_bytes=max_message_bytes,
                subprotocols=tuple(subprotocols),
            )

        order = WebSocketOrder(
            name=name,
            timeout_s=timeout_s or self._settings.limits.total_s,
            dial=lambda limit_s: sender.dial(make_wire, limit_s),
            head=lambda key: upgrade(request, key, subprotocols),
            begin_step=lambda name, intended: _SocketStep(self, arrival, name, intended),
        )
        return WebSocket(order)

    def request(
        self,
        method: str,
        path: str,
        *,
        name: str | None = None,
        json: object | None = None,
        data: Data = b"",
        files: Files | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Container[int] = (),
        check: Check | None = None,
        timeout_s: float | None = None,
        follow_redirects: bool = False,
    ) -> Coroutine[Any, Any, Response]:
        """Send a request and return its answer; a failure is an answer with status 0.

        ``path`` is percent-encoded; ``name`` is the sample's name, the journey's if not given
        (first step of an arrival that is one request), else ``METHOD path`` without the query.
        ``expect`` holds statuses that are fine besides 2xx and 3xx. ``check`` decides whether a
        good-looking answer is ``wrong``; one that raises has failed. ``timeout_s`` is the limit
        of this attempt in all, in place of the plan's. ``data`` and ``files`` are those of
        `surgeproof.load.http.body.encode_body`. With ``follow_redirects`` up to ten redirects
        within the target are followed, each a step of its own; the answer is the last one's.

        Nothing is ever sent twice: a connection that turns out to be closed before a byte of the
        request was written is replaced, and any later break is an error. After an error with
        status 0 or 5xx it is unknown whether the request took effect.

        Raises:
            ValueError: the request cannot be put into HTTP/1.1.
        """
        send = self._follow if follow_redirects else self._send
        return send(
            method,
            path,
            name=name,
            json=json,
            data=data,
            files=files,
            headers=headers,
            expect=expect,
            check=check,
            timeout_s=timeout_s,
        )

    async def _follow(
        self,
        method: str,
        path: str,
        *,
        name: str | None,
        json: object | None,
        data: Data,
        files: Files | None,
        **options: Any,
    ) -> Response:
        name = name or self._name(CURRENT_ARRIVAL.get(), method, path)
        redirects = Redirects(self._encoder.origin, is_repeatable=is_repeatable(data))
        while True:
            response = await self._send(
                method,
                path,
                name=name,
                json=json,
                data=data,
                files=files,
                redirects=redirects,
                **options,
            )
            hop = redirects.next
            if hop is None:
                return response
            method, path = hop.method, hop.path
            if not hop.keeps_body:
                json, data, files = None, b"", None
            name = name.removesuffix(REDIRECTED) + REDIRECTED

    async def _send(
        self,
        method: str,
        path: str,
        *,
        name: str | None = None,
        json: object | None = None,
        data: Data = b"",
        files: Files | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Container[int] = (),
        check: Check | None = None,
        timeout_s: float | None = None,
        redirects: Redirects | None = None,
    ) -> Response:
        arrival = CURRENT_ARRIVAL.get()
        if (self._cookies if arrival is None else arrival.cookies) is not None:
            headers = self._with_cookies(arrival, path, headers)
        if json is None and files is None and type(data) is bytes:
            wire, rest = self._encoder.encode(method, path, headers, data), None
        else:
            body = encode_body(json=json, data=data, files=files)
            wire, rest = self._encode(method, path, headers, body)
        step, intended = 0, 0.0
        if arrival is not None:
            if name is None and self._settings.names_by_journey and arrival.step == 0:
                name = arrival.journey
            arrival.step = step = arrival.step + 1
            intended = arrival.next_intended
        limits = None if timeout_s is None else self._limits(timeout_s)
        raw, judgement = _NO_RESPONSE, _UNFINISHED
        attempt = self._sender.begin(wire, is_head=method == "HEAD", limits=limits, rest=rest)
        try:
            raw = await attempt.answer
            if raw.marks:
                raw = self._unpack(arrival, path, raw)
            if redirects is not None and redirects.take(method, path, raw):
                check = None  # the last answer is the one to check
            judgement = judge(raw, expected=expect) if check is None else _judge(raw, expect, check)
        except TransportError as error:
            judgement = Judgement(Outcome.ERROR, error.kind, "", str(error))
        except asyncio.CancelledError:
            attempt.abandon()
            raise
        finally:
            # Also when the run ends and nobody waits any more: the attempt was made.
            if arrival is not None:
                self._record(arrival, step, intended, method, name, path, attempt, raw, judgement)
        return Response(raw, judgement)

    def _name(self, arrival: Arrival | None, method: str, path: str) -> str:
        if self._settings.names_by_journey and arrival is not None and arrival.step == 0:
            return arrival.journey
        return f"{method} {path.partition('?')[0]}"

    def _encode(
        self, method: str, path: str, headers: Mapping[str, str] | None, body: Body
    ) -> tuple[bytes, Iterable[bytes] | None]:
        encoder, content_type = self._encoder, body.content_type or None
        if body.chunks is None:
            return encoder.encode(method, path, headers, body.content, content_type), None
        return encoder.encode_head(method, path, headers, content_type), body.chunks

    def _with_cookies(
        self, arrival: Arrival | None, path: str, headers: Mapping[str, str] | None
    ) -> Mapping[str, str] | None:
        """Return headers with the session's cookies; a Cookie header of the caller's stands."""
        jar = self._cookies if arrival is None else arrival.cookies
        if jar is None or any(name.lower() == "cookie" for name in headers or ()):
            return headers
        cookies = jar.header(self._encoder.origin.prefix + path, self._wall_clock())
        return {**(headers or {}), "Cookie": cookies} if cookies else headers

    def _unpack(self, arrival: Arrival | None, path: str, raw: RawResponse) -> RawResponse:
        """Do what an answer's headers ask for: keep its cookies, undo its content coding."""
        if b"set-cookie" in raw.marks:
            self._keep_cookies(arrival, path, raw)
        return decoded(raw)

    def _keep_cookies(self, arrival: Arrival | None, path: str, raw: RawResponse) -> None:
        origin = self._encoder.origin
        jar = self._cookies if arrival is None else arrival.cookies
        if jar is None:
            jar = CookieJar(origin.host, is_tls=origin.is_tls)
            if arrival is None:
                self._cookies = jar
            else:
                arrival.cookies = jar
        for name, value in raw.headers:
            if name == b"set-cookie":
                jar.store(value.decode("latin-1"), origin.prefix + path, self._wall_clock())

    def _limits(self, total_s: float) -> Timeouts:
        usual = self._settings.limits
        return Timeouts(min(usual.connect_s, total_s), max(usual.read_s, total_s), total_s)

    def _record(  # noqa: PLR0917 - called for each request, and keywords cost time
        self,
        arrival: Arrival,
        step: int,
        intended: float,
        method: str,
        name: str | None,
        path: str,
        attempt: Attempt | Call,
        raw: RawResponse,
        judgement: Judgement,
    ) -> None:
        start, end, t0 = attempt.start, attempt.end, self.t0
        if step == 1:
            if isnan(start):
                return  # the arrival never got a place: the engine counts it as dropped
            arrival.was_sent = True
        recorder = self._recorder
        degraded, error_kind = judgement.degraded, judgement.error_kind
        recorder.sample(
            intended - t0,
            start - t0,
            attempt.first_byte - t0,
            end - t0,
            arrival.index,
            attempt.sent_bytes,
            attempt.received_bytes,
            recorder.label(name or f"{method} {path.partition('?')[0]}", method),
            recorder.degraded.code(degraded) if degraded else 0,
            recorder.error_kinds.code(error_kind) if error_kind else 0,
            arrival.phase_index,
            min(step, _MOST_STEPS),
            raw.status,
            _CODES[judgement.outcome],
        )
        if end == end:  # noqa: PLR0124 - NaN, for an attempt that never ended, differs from itself
            arrival.next_intended = end


class _SocketStep:
    """One wait of a WebSocket, which is a step of its arrival like a request."""

    def __init__(
        self, client: Client, arrival: Arrival | None, name: str, intended: float | None
    ) -> None:
        self._client, self._arrival, self._name = client, arrival, name
        self._number, self._intended = 0, 0.0
        if arrival is not None:
            # A feed may bring more messages than a step's column can count.
            arrival.step = self._number = min(arrival.step + 1, _MOST_STEPS)
            self._intended = arrival.next_intended if intended is None else intended

    def record(self, attempt: Attempt, raw: RawResponse, judgement: Judgement) -> None:
        if self._arrival is not None:
            self._client._record(  # noqa: SLF001 - one concept
                self._arrival,
                self._number,
                self._intended,
                "WS",
                self._name,
                "",
                attempt,
                raw,
                judgement,
            )


def _judge(raw: RawResponse, expect: Container[int], check: Check) -> Judgement:
    return judge(raw, expected=expect, check=lambda: _complaint(raw, expect, check))


def _complaint(raw: RawResponse, expect: Container[int], check: Check) -> str | None:
    try:
        said = check(Response(raw, judge(raw, expected=expect)))
    except Exception as error:  # noqa: BLE001 - the border to the scenario's code
        return f"the check raised {error!r}"
    if said is None or said is True:
        return None
    return said or "the check says no"
