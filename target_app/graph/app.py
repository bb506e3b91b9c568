"""The graph process: associations and posts over PostgreSQL, with a look-aside cache."""

from __future__ import annotations

from prometheus_client import Counter

from target_app.graph import statements
from target_app.graph.cache import CacheContext
from target_app.graph.reads import EDGE, GraphReader
from target_app.graph.routes import GraphRoutes
from target_app.graph.writes import GraphWriter
from target_app.ids import IdGenerator
from target_app.serving import Service, run_app
from target_app.settings import Settings

__all__ = ["main"]

# At 150 ms a round trip a connection carries 6 statements a second; a peak needs about 200.
_POOL_SIZE = 40
# Ids made by this process never collide with those of the identity process.
_NODE = 2


def main(settings: Settings) -> int:
    """Serve until SIGTERM and return the exit code."""
    service = Service(settings, trusts_callers=True)
    postgres = service.postgres_edge(EDGE, statements.ALL, size=_POOL_SIZE)
    requests = Counter(
        "app_cache_requests_total",
        "Look-ups by cache and result (hit, miss, stale).",
        ["cache", "result"],
        registry=service.registry,
    )
    context = CacheContext(service.redis_edge("graph-cache"), service.clock, service, requests)
    reader = GraphReader(postgres, context, service)
    writer = GraphWriter(postgres, reader, IdGenerator(service.clock, node=_NODE), service.clock)
    routes = GraphRoutes(reader, writer, service).routes()
    app = service.application(routes, on_start=postgres.wait_connected)
    return run_app(app, settings, service.log)
