"""What the entry's Envoy balances over: the endpoint file of its cluster ``gateway``."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["EndpointFile", "find_endpoint_file", "read_json", "read_page", "read_samples"]

_LOOPBACK = "127.0.0.1"
_CALL_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class EndpointFile:
    """A ClusterLoadAssignment that Envoy watches; each endpoint is a loopback port."""

    path: Path

    def weights(self) -> dict[int, int]:
        """Return the ports with their weights, 1 where the file names none."""
        resource = json.loads(self.path.read_text(encoding="utf-8"))["resources"][0]
        members = [each for group in resource["endpoints"] for each in group["lb_endpoints"]]
        return {
            each["endpoint"]["address"]["socket_address"]["port_value"]: each.get(
                "load_balancing_weight", 1
            )
            for each in members
        }

    def write(self, weights: Mapping[int, int]) -> None:
        """Replace the endpoints; a port of weight 0 is left out.

        The new file takes the old one's place by a rename, so Envoy never sees half of it.
        """
        document = json.loads(self.path.read_text(encoding="utf-8"))
        members = [
            {
                "endpoint": {
                    "address": {"socket_address": {"address": _LOOPBACK, "port_value": port}}
                },
                "load_balancing_weight": weight,
            }
            for port, weight in weights.items()
            if weight > 0
        ]
        document["resources"][0]["endpoints"] = [{"lb_endpoints": members}]
        unfinished = self.path.with_name(f".{self.path.name}.next")
        unfinished.write_text(json.dumps(document, indent=1), encoding="utf-8")
        unfinished.replace(self.path)


def find_endpoint_file(admin_port: int, cluster: str = "gateway") -> EndpointFile:
    """Ask a running Envoy which file it watches for ``cluster``.

    Raises:
        LookupError: it has no such cluster, or one whose endpoints are in no file.
        OSError: it does not answer.
    """
    dump = read_json(admin_port, "/config_dump?resource=static_clusters")
    for config in dump["configs"]:
        found = config["cluster"]
        if found["name"] == cluster and "eds_cluster_config" in found:
            source = found["eds_cluster_config"]["eds_config"]["path_config_source"]
            return EndpointFile(Path(source["path"]))
    raise LookupError(f"the envoy at port {admin_port} reads no endpoints of {cluster!r} in a file")


def read_json(port: int, path: str) -> Any:
    """Return a JSON page of a process on loopback; its shape is the caller's to know."""
    return json.loads(read_page(port, path))


def read_page(port: int, path: str) -> str:
    """Return a page of a process on loopback; raise ``OSError`` if it does not give one."""
    url = f"http://{_LOOPBACK}:{port}{path}"
    with urllib.request.urlopen(url, timeout=_CALL_TIMEOUT_S) as page:
        text: str = page.read().decode()
    return text


def read_samples(port: int, name: str) -> list[float]:
    """Return the values of a metric, over all its labels, from a process's metrics page."""
    return [
        float(line.rpartition(" ")[2])
        for line in read_page(port, "/metrics").splitlines()
        if line.partition(" ")[0].partition("{")[0] == name
    ]
