"""The graph process: associations and posts over PostgreSQL, with a look-aside cache."""

from __future__ import annotations

from prometheus_client import Counter

from target_app.graph import statements
from target_app.graph.cache import CacheContext
from target_app.graph.leases import Leases
from target_app.graph.notifications import Notifications
from target_app.graph.permissions import Permissions
from target_app.graph.popular import POPULAR, PopularPosts
from target_app.graph.reads import EDGE, GraphReader
from target_app.graph.routes import GraphRoutes
from target_app.graph.tao import Tao
from target_app.graph.writes import GraphWriter
from target_app.ids import IdGenerator
from target_app.serving import Service, run_app
from target_app.settings import Settings

__all__ = ["main"]

# At 150 ms a round trip a connection carries 6 statements a second; a peak needs about 200.
_POOL_SIZE = 40
# Ids made by this process never collide with those of the identity process.
_NODE = 2
_FOLLOWER_NODE = 4


def main(settings: Settings) -> int:
    """Serve until SIGTERM and return the exit code."""
    service = Service(settings, trusts_callers=True)
    postgres = service.postgres_edge(EDGE, (*statements.ALL, POPULAR), size=_POOL_SIZE)
    requests = Counter(
        "app_cache_requests_total",
        "Look-ups by cache and result (hit, miss, stale).",
        ["cache", "result"],
        registry=service.registry,
    )
    context = CacheContext(service.redis_edge("graph-cache"), service.clock, service, requests)
    granted = Counter(
        "app_lease_granted_total", "Leases to read from the database.", registry=service.registry
    )
    leases = Leases(
        context.redis,
        lambda: service.flags.is_on("cache.leases") and not service.has_defect("cache_stampede"),
        service.note_error,
        granted,
    )
    reader = GraphReader(
        postgres,
        context,
        service,
        leases=leases,
        # With celebrity_push nobody is pulled, for everybody is pushed to.
        celebrity_threshold=lambda: (
            2**31 - 1
            if service.has_defect("celebrity_push")
            else service.flags.number("feed.celebrity_threshold")
        ),
    )
    follows = settings.region != "a"
    writer = GraphWriter(
        postgres,
        reader,
        IdGenerator(service.clock, node=_FOLLOWER_NODE if follows else _NODE),
        service.clock,
        is_split=lambda: follows and service.has_defect("region_split_write"),
        acks_early=lambda: service.has_defect("ack_before_commit"),
    )
    routes = (
        *GraphRoutes(reader, writer, service).routes(),
        *PopularPosts(postgres).routes(),
        *Permissions(postgres, service.registry).routes(),
        *Notifications(postgres, context, reader).routes(),
        *Tao(postgres, service.clock).routes(),
    )
    app = service.application(routes, on_start=postgres.wait_connected)
    return run_app(app, settings, service.log)
