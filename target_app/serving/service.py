"""One process of the app: its edges, metrics, log, admission and standard routes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Protocol

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from target_app.clock import Clock, SystemClock
from target_app.edge.client import EdgeClient
from target_app.edge.http import HttpEdge
from target_app.edge.metrics import EdgeMetrics
from target_app.edge.postgres import PostgresEdge, PostgresTarget
from target_app.edge.redis import RedisEdge
from target_app.flags import Flags
from target_app.flags.defects import PREFIX
from target_app.serving.admin import admin_routes
from target_app.serving.admission import Admission, AdmissionPolicy
from target_app.serving.answers import ServiceError
from target_app.serving.degradation import Degradation
from target_app.serving.endpoint import Endpoint, ServiceRoute
from target_app.serving.knobs import HIGHEST, Knobs
from target_app.serving.lag import probe_loop_lag
from target_app.serving.log import JsonLog
from target_app.serving.metrics import ServiceMetrics
from target_app.serving.sockets import SocketEndpoint
from target_app.serving.wide import WideEvents
from target_app.settings import Settings

__all__ = ["Service"]

# How often the flag file is looked at.
_FLAGS_S = 1.0


class _Closable(Protocol):
    async def close(self) -> None: ...


class Service:
    """Builds what a role needs, and the ASGI application around the role's routes.

    ``trusts_callers`` is true of internal services: they take tier and user bucket from headers.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        trusts_callers: bool,
        clock: Clock | None = None,
        admission: AdmissionPolicy | None = None,
    ) -> None:
        self.settings = settings
        self.trusts_callers = trusts_callers
        self.clock: Clock = clock or SystemClock()
        self.registry = CollectorRegistry()
        self.metrics = ServiceMetrics(self.registry, settings.role)
        self.log = JsonLog(
            sys.stdout, settings.role, self.clock, is_sync="sync_logging" in settings.defects
        )
        self.flags = self._read_flags()
        self.admission = Admission(
            admission or AdmissionPolicy(),
            self.clock,
            is_enabled=lambda: self.flags.is_on("admission.enabled"),
            has_defect=self.has_defect,
        )
        self.knobs = Knobs(self._overload)
        self.wide_events = WideEvents(self.log, settings.region, random.Random())
        self._edge_metrics = EdgeMetrics(self.registry)
        self._clients: dict[str, EdgeClient] = {}
        self._starts: list[Callable[[], Awaitable[None]]] = []
        self._closables: list[_Closable] = []
        self._jitter = random.Random()
        self._is_ready = False

    def has_defect(self, word: str) -> bool:
        """Return whether this process breaks that promise on purpose."""
        return self.flags.is_on(PREFIX + word)

    def edge_client(self, name: str) -> EdgeClient:
        """Return the guard of an edge, for a client library that has no class here (NATS)."""
        if name not in self._clients:
            policy = self.settings.policies[name]
            self._clients[name] = EdgeClient(
                policy, self.clock, self._edge_metrics, self.has_defect
            )
        return self._clients[name]

    def http_edge(self, name: str) -> HttpEdge:
        """Return an HTTP client over an edge; the application starts and closes it."""
        edge = HttpEdge(self.edge_client(name), *self.settings.edges[name])
        self._starts.append(edge.start)
        self._closables.append(edge)
        return edge

    def redis_edge(self, name: str) -> RedisEdge:
        """Return a Redis client over an edge; the application closes it."""
        edge = RedisEdge(self.edge_client(name), *self.settings.edges[name])
        self._closables.append(edge)
        return edge

    def postgres_edge(
        self, name: str, statements: Sequence[str] = (), *, size: int = 8
    ) -> PostgresEdge:
        """Return a PostgreSQL client of ``size`` connections with these statements prepared."""
        host, port = self.settings.edges[name]
        target = PostgresTarget(
            host=host,
            port=port,
            database=self.settings.database,
            user=self.settings.database_user,
            application=self.settings.role,
            statements=tuple(statements),
        )
        edge = PostgresEdge(self.edge_client(name), target, size=size)
        self._starts.append(edge.start)
        self._closables.append(edge)
        return edge

    def application(
        self,
        routes: Sequence[ServiceRoute],
        *,
        sockets: Sequence[ServiceRoute] = (),
        on_start: Callable[[], Awaitable[None]] | None = None,
        on_stop: Callable[[], Awaitable[None]] | None = None,
        ready: Callable[[], bool] = lambda: True,
    ) -> Starlette:
        """Return the ASGI application; the handlers of ``sockets`` answer with ``upgrade``.

        ``on_start`` runs once the edges are started, ``on_stop`` before they are closed. ``ready``
        says whether tier 0 can be served; it must not depend on what can be done without.
        """

        @contextlib.asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            self.log.start()
            for start in self._starts:
                await start()
            probes = (
                asyncio.create_task(probe_loop_lag(self.clock, self._note_loop_lag)),
                asyncio.create_task(self._keep_flags_fresh()),
            )
            if on_start is not None:
                await on_start()
            self._is_ready = True
            self.log.info("started", port=self.settings.port)
            try:
                yield
            finally:
                self._is_ready = False
                for probe in probes:
                    probe.cancel()
                if on_stop is not None:
                    await on_stop()
                for closable in reversed(self._closables):
                    await closable.close()
                self.log.info("stopped")
                self.log.close()

        async def readyz(_: Request) -> Response:
            is_ready = self._is_ready and ready()
            if self.has_defect("coupled_readiness"):
                is_ready = is_ready and self._has_all_edges()
            return PlainTextResponse("ready" if is_ready else "not ready", 200 if is_ready else 503)

        own: list[BaseRoute] = [
            Route(route.path, Endpoint(route, self), methods=[route.method]) for route in routes
        ]
        own += [WebSocketRoute(each.path, SocketEndpoint(each, self)) for each in sockets]
        standard: list[BaseRoute] = [
            Route("/livez", _livez),
            Route("/readyz", readyz),
            Route("/metrics", self._show_metrics),
            Route("/healthz/deps", self._show_dependencies),
            *admin_routes(self),
        ]
        return Starlette(
            routes=own + standard,
            lifespan=lifespan,
            exception_handlers={HTTPException: _http_error},
        )

    def fallback_allowed(self, edge: str) -> bool:
        """Return whether the edge's fallback is on."""
        return self.settings.fallback_allowed(edge)

    def retry_after_s(self) -> int:
        """Return 1 to 3 seconds, so that those who were refused do not come back together."""
        return self._jitter.randint(1, 3)

    def note_fallback(self, degradation: Degradation) -> None:
        """Count one feature answered by a fallback."""
        self.metrics.fallbacks.labels(
            self.metrics.service, degradation.feature, degradation.mode, degradation.cause
        ).inc()

    def note_error(self, feature: str, error: Exception) -> None:
        """Count and log an exception that was handled: nothing is swallowed in silence."""
        self.metrics.errors.labels(self.metrics.service, feature, "true").inc()
        self.log.warning("handled", feature=feature, error=f"{type(error).__name__}: {error}")

    def note_unhandled(self, feature: str, error: Exception) -> None:
        """Count and log an exception that becomes a 500, with where it came from."""
        self.metrics.errors.labels(self.metrics.service, feature, "false").inc()
        self.log.error("unhandled", feature=feature, error=repr(error), trace=_trace(error))

    def _read_flags(self) -> Flags:
        settings = self.settings
        flags = Flags(
            settings.flags,
            self.note_error,
            domain=settings.role,
            switched={PREFIX + word: True for word in settings.defects},
            allows_defects=settings.allows_defects,
        )
        flags.reload()
        return flags

    async def _keep_flags_fresh(self) -> None:
        while True:
            await asyncio.sleep(_FLAGS_S)
            if self.flags.reload():
                self.log.info("flags", **self.flags.variants())

    def _overload(self) -> int:
        """Return the level that the admission signal asks for: one for each fifth that is cut."""
        if not self.flags.is_on("admission.knobs"):
            return 0
        return int(self.admission.level * (HIGHEST + 1))

    def _note_loop_lag(self, lag_s: float) -> None:
        self.metrics.loop_lag.observe(lag_s)
        self.admission.note_loop_lag(lag_s)

    def _has_all_edges(self) -> bool:
        """Whether no dependency is lost, not even one that can be done without."""
        return all(client.health().state == "ok" for client in self._clients.values())

    async def _show_metrics(self, _: Request) -> Response:
        self.metrics.admission_level.set(self.admission.level)
        self.metrics.knob_level.set(self.knobs.level)
        self.metrics.show_flags(self.flags.variants())
        self.metrics.log_dropped.set(self.log.dropped)
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    async def _show_dependencies(self, _: Request) -> Response:
        body = {name: asdict(client.health()) for name, client in self._clients.items()}
        return Response(msgspec.json.encode(body), media_type="application/json")


async def _livez(_: Request) -> Response:
    return PlainTextResponse("alive")


async def _http_error(_: Request, error: Exception) -> Response:
    # Starlette's own errors: no such route, or not by this method.
    assert isinstance(error, HTTPException)  # noqa: S101
    word = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
    return ServiceError(error.status_code, word, error.detail, error.headers).to_response()


def _trace(error: Exception) -> list[str]:
    """Return the innermost frames, the last one being where it was raised."""
    frames: list[str] = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        frames.append(f"{code.co_filename.rpartition('/')[2]}:{step.tb_lineno} {code.co_name}")
        step = step.tb_next
    return frames[-6:]
