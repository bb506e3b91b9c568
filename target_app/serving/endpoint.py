"""One route of a service, with everything that holds for every request."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from target_app.clock import Clock
from target_app.edge.calls import count_calls_in
from target_app.edge.deadline import DEADLINE_HEADER, Deadline
from target_app.edge.errors import EdgeError
from target_app.edge.upstream import BUCKETS, CUT_HEADER
from target_app.serving.admission import Admission
from target_app.serving.answers import ServiceError, edge_error
from target_app.serving.body_limit import limited, said_bytes, too_large
from target_app.serving.degradation import Degradation, to_header
from target_app.serving.exchange import SCOPE_KEY, Exchange
from target_app.serving.knobs import HIGHEST, Knobs
from target_app.serving.metrics import ServiceMetrics
from target_app.serving.shadow import answer_without_writing
from target_app.serving.wide import WideEvents

__all__ = ["Endpoint", "Handler", "ServiceRoute", "user_bucket"]

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

# Users change buckets with the hour, so that it is not always the same ones who are refused.
_REDEAL_S = 3600

# How long the defect zombie_deadline goes on with what nobody waits for any more.
_ZOMBIE_S = 60.0

# Set by the HTTP protocol on the first byte of a request (see runner.py).
RECEIVED_KEY = "target_app.received_s"


@dataclass(frozen=True, slots=True)
class ServiceRoute:
    """A route: ``path`` as template, ``tier`` 0 (must survive) to 3, ``feature`` for the errors.

    ``deadline_s`` is the longest time that an answer may take; a caller can shorten it.
    ``only_reads`` is true of a POST that writes nothing (a log-in, a query). ``shadow`` answers
    a copy of a request in the place of ``handler``; without it, that of a write is answered as
    :mod:`target_app.serving.shadow` says, and that of a read like any other. A body from outside
    may have ``most_bytes``.
    """

    method: str
    path: str
    handler: Handler
    tier: int
    feature: str
    deadline_s: float = 2.0
    only_reads: bool = False
    shadow: Handler | None = None
    most_bytes: int = 64 * 1024

    @property
    def writes(self) -> bool:
        """Whether a request may change what others see."""
        return self.method not in ("GET", "HEAD") and not self.only_reads


class EndpointHost(Protocol):
    """What an endpoint needs of its service."""

    clock: Clock
    admission: Admission
    metrics: ServiceMetrics
    trusts_callers: bool
    knobs: Knobs
    wide_events: WideEvents

    def has_defect(self, word: str) -> bool:
        """Return whether this process breaks that promise on purpose."""
        ...

    def fallback_allowed(self, edge: str) -> bool:
        """Return whether the edge's fallback is on."""
        ...

    def retry_after_s(self) -> int:
        """Return a jittered number of seconds after which a refused caller may come back."""
        ...

    def note_fallback(self, degradation: Degradation) -> None:
        """Count a fallback."""
        ...

    def note_unhandled(self, feature: str, error: Exception) -> None:
        """Count and log an exception that becomes a 500."""
        ...


class Endpoint:
    """The ASGI application of one route: admission, deadline, errors, marks and metrics."""

    def __init__(self, route: ServiceRoute, host: EndpointHost) -> None:
        self._route = route
        self._host = host
        metrics = host.metrics
        self._is_public = not host.trusts_callers
        self._durations = {
            tier: metrics.duration.labels(metrics.service, route.path, f"T{tier}")
            for tier in range(4)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        host = self._host
        started_s = host.clock.monotonic()
        delay_s = max(started_s - scope.get(RECEIVED_KEY, started_s), 0.0)
        host.admission.note_queue_delay(delay_s)
        host.metrics.queue_delay.observe(delay_s)
        if self._is_public:
            receive = limited(receive, self._route.most_bytes)
        request = Request(scope, receive)
        exchange = self._open(request, delay_s)
        scope[SCOPE_KEY] = exchange
        count_calls_in(exchange.calls)
        response = await self._admitted(request, exchange)
        if exchange.degradations and response.status_code < 400:
            response.headers["Degraded"] = to_header(exchange.degradations)
        cut = host.admission.cut
        if cut is not None and not self._is_public:
            response.headers[CUT_HEADER] = str(cut)
        try:
            await response(scope, receive, send)
        finally:
            duration_s = host.clock.monotonic() - started_s
            self._count(exchange, response.status_code, duration_s)
            host.wide_events.note(self._route, exchange, response, delay_s, duration_s)

    def _open(self, request: Request, delay_s: float) -> Exchange:
        headers = request.headers
        tier = self._route.tier
        if self._host.trusts_callers:
            tier = _parse_tier(headers.get("X-Tier"), tier)
        bucket = user_bucket(
            headers.get("X-User-Prio") if self._host.trusts_callers else None,
            headers.get("Authorization"),
            redeal=int(self._host.clock.wall() // _REDEAL_S),
        )
        return Exchange(
            self._host,
            tier,
            bucket,
            self._deadline(headers.get(DEADLINE_HEADER), delay_s),
            is_shadow="X-Shadow" in headers,
            marks_fallbacks=not self._host.has_defect("silent_fallback"),
        )

    def _deadline(self, header: str | None, delay_s: float) -> Deadline:
        clock, default_s = self._host.clock, self._route.deadline_s
        if self._host.has_defect("zombie_deadline"):
            return Deadline.after(_ZOMBIE_S, clock)
        if self._host.has_defect("unbounded_queue"):
            return Deadline.from_header(header, clock, default_s=default_s)
        # The time that the request has waited here is gone.
        return Deadline(Deadline.from_header(header, clock, default_s=default_s).at_s - delay_s)

    async def _admitted(self, request: Request, exchange: Exchange) -> Response:
        host = self._host
        if self._is_public and host.knobs.level >= HIGHEST and self._is_given_up(exchange):
            return self._shed(exchange, "knob")
        reason = host.admission.try_enter(exchange.tier, exchange.bucket)
        if reason is not None:
            return self._shed(exchange, reason)
        host.metrics.in_flight.set(host.admission.in_flight)
        try:
            if exchange.deadline.remaining_s(host.clock) <= 0:
                return self._shed(exchange, "deadline")
            if self._is_public and said_bytes(request) > self._route.most_bytes:
                return too_large(self._route.most_bytes).to_response()
            return await self._handled(request, exchange)
        finally:
            host.admission.leave()
            host.metrics.in_flight.set(host.admission.in_flight)

    def _is_given_up(self, exchange: Exchange) -> bool:
        """Whether the highest knob gives this route up: all but tier 0, and reads of tier 1."""
        return exchange.tier > 1 or (exchange.tier == 1 and self._route.writes)

    def _handler(self, exchange: Exchange) -> Handler:
        route = self._route
        if not exchange.is_shadow:
            return route.handler
        if route.shadow is not None:
            return route.shadow
        return answer_without_writing if self._is_public and route.writes else route.handler

    async def _handled(self, request: Request, exchange: Exchange) -> Response:
        host = self._host
        try:
            return await self._handler(exchange)(request)
        except ServiceError as error:
            return error.to_response()
        except EdgeError as error:
            allowed = host.fallback_allowed(error.edge)
            return edge_error(error, fallback_allowed=allowed).to_response()
        except Exception as error:  # noqa: BLE001  # the border: one request must not end the server
            host.note_unhandled(self._route.feature, error)
            return ServiceError(500, "internal", "this is a bug; see the log").to_response()

    def _shed(self, exchange: Exchange, reason: str) -> Response:
        metrics = self._host.metrics
        metrics.shed.labels(metrics.service, f"T{exchange.tier}", reason).inc()
        level = self._host.admission.level
        headers = {
            "Retry-After": str(self._host.retry_after_s()),
            "X-Shed": f"tier={exchange.tier};level={level:.2f};reason={reason}",
        }
        return ServiceError(503, "shed", f"refused: {reason}", headers).to_response()

    def _count(self, exchange: Exchange, status: int, duration_s: float) -> None:
        metrics = self._host.metrics
        degraded = "true" if exchange.degradations and status < 400 else "false"
        metrics.requests.labels(
            metrics.service,
            self._route.path,
            self._route.method,
            str(status),
            f"T{exchange.tier}",
            degraded,
        ).inc()
        self._durations[exchange.tier].observe(duration_s)
        for edge, calls in exchange.calls.items():
            metrics.calls.labels(metrics.service, self._route.path, edge).observe(calls)


def user_bucket(handed_on: str | None, authorization: str | None, *, redeal: int = 0) -> int:
    """Return a user's bucket: as handed on by a caller, else by hash of the user's credentials.

    Another ``redeal`` deals the users out anew. Requests without a user share the middle bucket.
    """
    if handed_on is not None and handed_on.isdigit():
        return int(handed_on) % BUCKETS
    if authorization:
        return zlib.crc32(authorization.encode(), redeal) % BUCKETS
    return BUCKETS // 2


def _parse_tier(value: str | None, default: int) -> int:
    if value is not None and len(value) == 2 and value[0] == "T" and value[1] in "0123":
        return int(value[1])
    return default
