"""Toxiproxy: one server, and one proxy in it for each edge of the target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.stack.binaries import Program
from surgeproof.stack.children import Launch
from surgeproof.stack.ports import LOOPBACK
from surgeproof.stack.probes import answers_json
from surgeproof.stack.servers.kind import SERVER_RANK, MetricsPage, ServerKind, Site
from surgeproof.stack.specs import ServerSpec

__all__ = ["KIND", "VERSION", "ProxyRoute", "create_proxies"]

VERSION = "2.12.0"
_CALL_TIMEOUT_S = 5.0
_PROGRAM = Program(
    "toxiproxy-server",
    install="uv pip install --no-deps ./packaging/toxiproxy in a checkout of surgeproof, or put "
    f"toxiproxy-server {VERSION} on PATH, or point SURGEPROOF_TOXIPROXY_SERVER at it",
    variable="SURGEPROOF_TOXIPROXY_SERVER",
    version=VERSION,
    path_first=True,
)


@dataclass(frozen=True, slots=True)
class ProxyRoute:
    """A proxy to make: both ends on loopback, by port.

    ``latency_ms`` (give or take ``jitter_ms``) is how long each answer is on its way all the time,
    as between two regions.
    """

    name: str
    listen: int
    upstream: int
    latency_ms: int = 0
    jitter_ms: int = 0


def launch(spec: ServerSpec, site: Site) -> Launch:
    """Return the server's command; it is ready only when our own process answers."""
    port = site.ports[spec.name]
    url = f"http://{LOOPBACK}:{port}/version"
    says_version = answers_json(url, "version", VERSION)

    def ready(pid: int) -> bool:
        # A Toxiproxy whose port is taken does not end: it goes on without an API, and whoever has
        # the port answers in its place.
        return says_version(pid) and _listens(pid, port)

    return Launch(
        name=spec.name,
        command=(
            str(site.programs["toxiproxy-server"]),
            *("-host", LOOPBACK, "-port", str(port), "-proxy-metrics"),
            *spec.arguments,
        ),
        directory=site.folder,
        # Below this it writes lines for every connection, which are many under load.
        environment={**site.environment, "LOG_LEVEL": "warn"},
        ready=ready,
        waits_for=f"version {VERSION} from {url}",
        ready_timeout_s=spec.ready_timeout_s,
        rank=SERVER_RANK,
        fixed_port=spec.port,
    )


def create_proxies(api_url: str, routes: tuple[ProxyRoute, ...]) -> None:
    """Make every proxy in one call, and read back that all stand where they were asked to.

    Raises:
        EnvironmentNotReadyError: the server refused, or did as it liked.
    """
    body = [
        {
            "name": route.name,
            "listen": f"{LOOPBACK}:{route.listen}",
            "upstream": f"{LOOPBACK}:{route.upstream}",
            "enabled": True,
        }
        for route in routes
    ]
    status, answer = _call(api_url, "POST", "/populate", json.dumps(body))
    if status != 201:
        raise EnvironmentNotReadyError(f"toxiproxy refused the proxies ({status}): {answer}")
    _, listed = _call(api_url, "GET", "/proxies")
    for wanted in body:
        found = listed.get(str(wanted["name"])) if isinstance(listed, dict) else None
        if not isinstance(found, Mapping) or any(found.get(key) != wanted[key] for key in wanted):
            raise EnvironmentNotReadyError(f"toxiproxy made {found} where {wanted} was asked for")
    for route in routes:
        if route.latency_ms:
            _keep_away(api_url, route)


def _keep_away(api_url: str, route: ProxyRoute) -> None:
    toxic = {
        "name": "distance",
        "type": "latency",
        "attributes": {"latency": route.latency_ms, "jitter": route.jitter_ms},
    }
    path = f"/proxies/{route.name}/toxics"
    status, answer = _call(api_url, "POST", path, json.dumps(toxic))
    if status != 200:
        raise EnvironmentNotReadyError(f"toxiproxy refused {toxic} ({status}): {answer}")


def _call(api_url: str, method: str, path: str, body: str | None = None) -> tuple[int, object]:
    # Late: to check a plan, this kind of server must be known and not be spoken to.
    import http.client  # noqa: PLC0415

    parts = urlsplit(api_url)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_CALL_TIMEOUT_S)
    try:
        link.request(method, path, body, {"Content-Type": "application/json"})
        answer = link.getresponse()
        text = answer.read().decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException) as error:
        message = f"toxiproxy at {api_url} did not answer {method} {path}: {error}"
        raise EnvironmentNotReadyError(message) from error
    finally:
        link.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text.strip()


def _listens(pid: int, port: int) -> bool:
    import psutil  # noqa: PLC0415 - see _call

    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(
        link.status == psutil.CONN_LISTEN and link.laddr and link.laddr.port == port
        for link in connections
    )


KIND = ServerKind(
    name="toxiproxy",
    programs=(_PROGRAM,),
    launch=launch,
    metrics=MetricsPage("", "/metrics"),
)
