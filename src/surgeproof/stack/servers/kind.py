"""What a kind of server is to the driver: programs it needs, ports, and how to start it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from surgeproof.stack.binaries import Program
from surgeproof.stack.children import Launch
from surgeproof.stack.specs import ServerSpec
from surgeproof.stack.users import User

__all__ = ["FRONT_RANK", "SERVER_RANK", "MetricsPage", "ServerKind", "Site"]

# The end comes from the outside in: entry proxies, then the target's processes, then servers.
SERVER_RANK = 0
FRONT_RANK = 2


@dataclass(frozen=True, slots=True)
class Site:
    """Where one server is to run.

    ``folder`` is its own and empty; ``ports`` has every port of the stack, by name;
    ``programs`` are the found ones of its kind; ``user`` is whom to become, None to stay.
    """

    folder: Path
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    programs: Mapping[str, Path]
    user: User | None = None


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """Where a server shows Prometheus metrics: on its ``port_suffix`` port, under ``path``."""

    port_suffix: str
    path: str


@dataclass(frozen=True, slots=True)
class ServerKind:
    """One kind of server.

    ``options`` are its own keys in a stack file; ``port_suffixes`` name the ports beside its main
    one (``-admin`` of ``envoy`` is the port ``envoy-admin``). A kind that ``fronts_processes`` is
    started with them, not before.
    """

    name: str
    programs: tuple[Program, ...]
    launch: Callable[[ServerSpec, Site], Launch]
    options: frozenset[str] = field(default_factory=frozenset)
    port_suffixes: tuple[str, ...] = ()
    metrics: MetricsPage | None = None
    fronts_processes: bool = False
