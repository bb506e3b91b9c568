"""Who listens where in one stack, and what each process is told of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from surgeproof.stack.ports import LOOPBACK, PortBook
from surgeproof.stack.running import ProxyAddress
from surgeproof.stack.servers import SERVER_KINDS
from surgeproof.stack.servers.postgres import ROLE
from surgeproof.stack.servers.toxiproxy import ProxyRoute
from surgeproof.stack.specs import ProcessSpec, StackDefinition

__all__ = ["Wiring", "reserve_ports"]

_PLACEHOLDER = re.compile(r"\{(python|seed|port|port:[a-z0-9-]+)\}")


def reserve_ports(definition: StackDefinition, ports: PortBook) -> None:
    """Reserve a port for every listener of the stack, those of the proxies included.

    A proxy's port is reserved as well, and not left to Toxiproxy: a fault that disables the proxy
    closes its listener, and the port must still be free when the fault is undone.

    Raises:
        PortTakenError: a fixed port is in use.
    """
    for server in definition.servers:
        ports.reserve(server.name, server.port)
        for suffix in SERVER_KINDS[server.kind].port_suffixes:
            ports.reserve(server.name + suffix)
    for process in definition.processes:
        ports.reserve(process.name, process.port)
    for edge in definition.edges:
        ports.reserve(_proxy(edge.name))


@dataclass(frozen=True, slots=True)
class Wiring:
    """A definition with its ports filled in."""

    definition: StackDefinition
    ports: Mapping[str, int]
    seed: int

    @property
    def base_url(self) -> str:
        return self._url(self.definition.entry)

    @property
    def toxiproxy_url(self) -> str | None:
        server = self.definition.server_of_kind("toxiproxy")
        return None if server is None else self._url(server.name)

    def edges(self) -> dict[str, ProxyAddress]:
        return {
            edge.name: ProxyAddress(LOOPBACK, self.ports[_proxy(edge.name)])
            for edge in self.definition.edges
        }

    def routes(self) -> tuple[ProxyRoute, ...]:
        return tuple(
            ProxyRoute(
                edge.name,
                self.ports[_proxy(edge.name)],
                self.ports[edge.upstream],
                latency_ms=round(edge.latency_s * 1000),
                jitter_ms=round(edge.jitter_s * 1000),
            )
            for edge in self.definition.edges
        )

    def metrics_urls(self) -> dict[str, str]:
        urls = {
            process.name: self._url(process.name) + process.metrics
            for process in self.definition.processes
            if process.metrics is not None
        }
        for server in self.definition.servers:
            page = SERVER_KINDS[server.kind].metrics
            if page is not None:
                urls[server.name] = self._url(server.name + page.port_suffix) + page.path
        return urls

    def ready_url(self, process: ProcessSpec) -> str:
        return self._url(process.name) + process.ready

    def command(self, words: Sequence[str], own_port: int | None = None) -> tuple[str, ...]:
        """Return ``words`` with their placeholders filled."""

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name == "python":
                return sys.executable
            if name == "seed":
                return str(self.seed)
            return str(own_port if name == "port" else self.ports[name.removeprefix("port:")])

        return tuple(_PLACEHOLDER.sub(value, word) for word in words)

    def process_environment(
        self, process: ProcessSpec, edges_file: Path, logs: Path
    ) -> dict[str, str]:
        """Return what a process of the target is told, all of it as ``APP_*``."""
        told = {
            "APP_PORT": str(self.ports[process.name]),
            "APP_EDGES": str(edges_file),
            "APP_SEED": str(self.seed),
            "APP_LOG_DIR": str(logs),
        }
        database = self.definition.server_of_kind("postgres")
        if database is not None:
            told |= {"APP_DATABASE": database.database, "APP_DATABASE_USER": ROLE}
        return told | dict(process.env)

    def _url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[name]}"


def _proxy(edge: str) -> str:
    return f"edge:{edge}"
