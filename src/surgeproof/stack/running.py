"""What is up, for those who use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from surgeproof.errors import UsageError

__all__ = ["ExtraServers", "ProxyAddress", "RunningStack"]

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """Where an edge's proxy listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class ExtraServers(Protocol):
    """Starts servers beside a stack, and knows which of all its processes have died."""

    def start_extra(
        self, name: str, command: Sequence[str], ready_url: str, *, ready_timeout_s: float
    ) -> int:
        """Start one more server and return its pid once it is ready."""
        ...

    def dead(self) -> tuple[tuple[str, int], ...]:
        """Return name and pid of each process that ended without being told to."""
        ...


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A target that is ready.

    ``processes`` are (name, pid) in start order; ``metrics_urls`` maps a process or server to its
    Prometheus page; ``ports`` has every port by name. With an external target all but
    ``base_url`` is empty.
    """

    base_url: str
    edges: Mapping[str, ProxyAddress] = field(default_factory=lambda: MappingProxyType({}))
    toxiproxy_url: str | None = None
    processes: tuple[tuple[str, int], ...] = ()
    metrics_urls: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    ports: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    database_was_cached: bool | None = None
    extras: ExtraServers | None = None

    def start_extra(
        self, name: str, command: Sequence[str], ready_url: str, *, ready_timeout_s: float = 20.0
    ) -> int:
        """Start one more server (a Prometheus, say), which ends before the rest of the stack.

        Returns its pid once ``ready_url`` answers 200; its output goes to ``logs/<name>.log``.

        Raises:
            UsageError: the target is external, nothing is started beside it.
            TargetNotReadyError: it died, or was not ready in time.
        """
        if self.extras is None:
            raise UsageError(f"{name} cannot be started beside an external target")
        return self.extras.start_extra(name, command, ready_url, ready_timeout_s=ready_timeout_s)

    def dead(self) -> tuple[tuple[str, int], ...]:
        """Return name and pid of each process that ended without being told to."""
        return self.extras.dead() if self.extras is not None else ()
