"""The kinds of server a stack file may name, one small file each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from surgeproof.stack.servers import envoy, nats, postgres, redis, toxiproxy
from surgeproof.stack.servers.kind import ServerKind

__all__ = ["SERVER_KINDS"]

SERVER_KINDS: Mapping[str, ServerKind] = MappingProxyType(
    {kind.name: kind for kind in (postgres.KIND, redis.KIND, nats.KIND, toxiproxy.KIND, envoy.KIND)}
)
