"""What a stack file says, read and valid: servers, processes, proxies and how to fill them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from surgeproof.model.plan import Edge

__all__ = ["ProcessSpec", "SeedStep", "ServerSpec", "StackDefinition"]

_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
_NO_CLUSTERS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One third-party server. ``port`` is None where the kernel chooses it.

    ``database`` belongs to PostgreSQL; ``config`` (a template) and ``clusters`` (a cluster's name
    to the processes behind it) belong to Envoy.
    """

    name: str
    kind: str
    arguments: tuple[str, ...] = ()
    port: int | None = None
    ready_timeout_s: float = 20.0
    database: str = "postgres"
    config: Path | None = None
    clusters: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_CLUSTERS)


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process of the target's own; ``ready`` and ``metrics`` are paths on its port.

    ``env`` is told to this process alone, and gives way to what the run tells all of them.
    """

    name: str
    command: tuple[str, ...]
    ready: str
    metrics: str | None = "/metrics"
    port: int | None = None
    ready_timeout_s: float = 30.0
    env: Mapping[str, str] = field(default_factory=lambda: _NO_VARIABLES)


@dataclass(frozen=True, slots=True)
class SeedStep:
    """How an empty database is filled; ``digest`` lists the files that decide with what."""

    command: tuple[str, ...]
    digest: tuple[Path, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class StackDefinition:
    """A whole stack. ``root`` is the working directory of its processes."""

    name: str
    file: Path
    root: Path
    entry: str
    servers: tuple[ServerSpec, ...]
    processes: tuple[ProcessSpec, ...]
    edges: tuple[Edge, ...]
    seed: SeedStep | None

    def server_of_kind(self, kind: str) -> ServerSpec | None:
        """Return the stack's only server of ``kind``, or None."""
        return next((server for server in self.servers if server.kind == kind), None)
