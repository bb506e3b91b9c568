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
from target_app.edge.deadline import DEADLINE_HEADER, Deadline
from target_app.edge.errors import EdgeError
from target_app.serving.admission import BUCKETS, Admission
from target_app.serving.answers import ServiceError, edge_error
from target_app.serving.degradation import Degradation, to_header
from target_app.serving.exchange import SCOPE_KEY, Exchange
from target_app.serving.metrics import ServiceMetrics

__all__ = ["Endpoint", "Handler", "ServiceRoute", "user_bucket"]

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

# Set by the HTTP protocol on the first byte of a request (see runner.py).
RECEIVED_KEY = "target_app.received_s"


@dataclass(frozen=True, slots=True)
class ServiceRoute:
    """A route: ``path`` as template, ``tier`` 0 (must survive) to 3, ``feature`` for the errors.

    ``deadline_s`` is the longest time that an answer may take; a caller can shorten it.
    """

    method: str
    path: str
    handler: Handler
    tier: int
    feature: str
    deadline_s: float = 2.0


class EndpointHost(Protocol):
    """What an endpoint needs of its service."""

    clock: Clock
    admission: Admission
    metrics: ServiceMetrics
    trusts_callers: bool

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
        request = Request(scope, receive)
        exchange = self._open(request, delay_s)
        scope[SCOPE_KEY] = exchange
        response = await self._admitted(request, exchange)
        if exchange.degradations and response.status_code < 400:
            response.headers["Degraded"] = to_header(exchange.degradations)
        try:
            await response(scope, receive, send)
        finally:
            self._count(exchange, response.status_code, host.clock.monotonic() - started_s)

    def _open(self, request: Request, delay_s: float) -> Exchange:
        headers = request.headers
        tier = self._route.tier
        if self._host.trusts_callers:
            tier = _parse_tier(headers.get("X-Tier"), tier)
        deadline = Deadline.from_header(
            headers.get(DEADLINE_HEADER), self._host.clock, default_s=self._route.deadline_s
        )
        deadline = Deadline(deadline.at_s - delay_s)
        bucket = user_bucket(
            headers.get("X-User-Prio") if self._host.trusts_callers else None,
            headers.get("Authorization"),
        )
        return Exchange(self._host, tier, bucket, deadline)

    async def _admitted(self, request: Request, exchange: Exchange) -> Response:
        host = self._host
        reason = host.admission.try_enter(exchange.tier, exchange.bucket)
        if reason is not None:
            return self._shed(exchange, reason)
        host.metrics.in_flight.set(host.admission.in_flight)
        try:
            if exchange.deadline.remaining_s(host.clock) <= 0:
                return self._shed(exchange, "deadline")
            return await self._handled(request)
        finally:
            host.admission.leave()
            host.metrics.in_flight.set(host.admission.in_flight)

    async def _handled(self, request: Request) -> Response:
        host = self._host
        try:
            return await self._route.handler(request)
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


def user_bucket(handed_on: str | None, authorization: str | None) -> int:
    """Return a user's bucket: as handed on by a caller, else by hash of the user's credentials.

    Requests without a user share the middle bucket.
    """
    if handed_on is not None and handed_on.isdigit():
        return int(handed_on) % BUCKETS
    if authorization:
        return zlib.crc32(authorization.encode()) % BUCKETS
    return BUCKETS // 2


def _parse_tier(value: str | None, default: int) -> int:
    if value is not None and len(value) == 2 and value[0] == "T" and value[1] in "0123":
        return int(value[1])
    return default
