"""Ports filled in: addresses, proxies and environments follow from one table of ports."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.model.plan import Edge
from surgeproof.stack.running import ProxyAddress
from surgeproof.stack.servers import SERVER_KINDS
from surgeproof.stack.servers.envoy import write_endpoints
from surgeproof.stack.servers.kind import Site
from surgeproof.stack.servers.toxiproxy import ProxyRoute
from surgeproof.stack.specs import ProcessSpec, ServerSpec, StackDefinition
from surgeproof.stack.wiring import Wiring

PORTS = {
    "store": 5001,
    "proxies": 5002,
    "web": 5003,
    "front": 5004,
    "front-admin": 5005,
    "edge:web-store": 5006,
}
DEFINITION = StackDefinition(
    name="shop",
    file=Path("/shop/app/stack.toml"),
    root=Path("/shop"),
    entry="front",
    servers=(
        ServerSpec("store", "postgres", database="shop"),
        ServerSpec("proxies", "toxiproxy"),
        ServerSpec("front", "envoy", clusters={"web": ("web",)}),
    ),
    processes=(ProcessSpec("web", ("{python}",), ready="/readyz"),),
    edges=(Edge("web-store", "store", "web", "store", "store", 0.25, "none"),),
    seed=None,
)
WIRING = Wiring(DEFINITION, PORTS, seed=7)


def test_the_entry_is_the_base_url() -> None:
    assert WIRING.base_url == "http://127.0.0.1:5004"
    assert WIRING.toxiproxy_url == "http://127.0.0.1:5002"


def test_an_edge_is_reached_at_its_proxy_and_leads_to_its_upstream() -> None:
    assert WIRING.edges() == {"web-store": ProxyAddress("127.0.0.1", 5006)}
    assert WIRING.routes() == (ProxyRoute("web-store", listen=5006, upstream=5001),)


def test_metrics_pages_are_those_of_processes_and_of_servers_that_have_one() -> None:
    assert WIRING.metrics_urls() == {
        "web": "http://127.0.0.1:5003/metrics",
        "proxies": "http://127.0.0.1:5002/metrics",
        "front": "http://127.0.0.1:5005/stats/prometheus",
    }


def test_placeholders_of_a_command_are_filled() -> None:
    words = ("{python}", "--seed={seed}", "--port", "{port}", "--peer={port:store}", "{other}")
    assert WIRING.command(words, own_port=5003) == (
        sys.executable,
        "--seed=7",
        "--port",
        "5003",
        "--peer=5001",
        "{other}",
    )


def test_a_process_is_told_its_port_its_edges_and_its_database() -> None:
    told = WIRING.process_environment(DEFINITION.processes[0], Path("/e.json"), Path("/logs"))
    assert told == {
        "APP_PORT": "5003",
        "APP_EDGES": "/e.json",
        "APP_SEED": "7",
        "APP_LOG_DIR": "/logs",
        "APP_DATABASE": "shop",
        "APP_DATABASE_USER": "app",
    }


def test_endpoints_are_written_whole_by_a_rename(tmp_path: Path) -> None:
    path = write_endpoints(tmp_path, "web", [5003, 5007])
    (resource,) = json.loads(path.read_text(encoding="utf-8"))["resources"]
    assert resource["cluster_name"] == "web"
    found = [
        member["endpoint"]["address"]["socket_address"]["port_value"]
        for member in resource["endpoints"][0]["lb_endpoints"]
    ]
    assert found == [5003, 5007]
    assert list(tmp_path.iterdir()) == [path]


def test_only_our_own_placeholders_of_an_envoy_template_are_filled(tmp_path: Path) -> None:
    template = tmp_path / "front.yaml"
    template.write_text("{prefix: /} {port:front} {port:front-admin} {eds_dir}", encoding="utf-8")
    site = Site(tmp_path, PORTS, {}, {"envoy": Path("/bin/envoy")})
    spec = ServerSpec("front", "envoy", config=template, clusters={"web": ("web",)})
    launch = SERVER_KINDS["envoy"].launch(spec, site)
    filled = (tmp_path / "envoy.yaml").read_text(encoding="utf-8")
    assert filled == f"{{prefix: /}} 5004 5005 {tmp_path}/endpoints"
    assert (tmp_path / "endpoints" / "web.yaml").is_file()
    assert launch.command[0] == "/bin/envoy"


def test_a_template_that_asks_for_an_unknown_port_is_refused(tmp_path: Path) -> None:
    template = tmp_path / "front.yaml"
    template.write_text("{port:frnt}", encoding="utf-8")
    site = Site(tmp_path, PORTS, {}, {"envoy": Path("/bin/envoy")})
    spec = ServerSpec("front", "envoy", config=template)
    with pytest.raises(EnvironmentNotReadyError, match=r"\{port:frnt\}, which nothing has"):
        SERVER_KINDS["envoy"].launch(spec, site)


def test_arguments_of_the_stack_file_come_last_and_so_win(tmp_path: Path) -> None:
    spec = ServerSpec("cache", "redis", arguments=("--maxmemory", "64mb"))
    site = Site(tmp_path, {"cache": 5010}, {}, {"redis-server": Path("/bin/redis-server")})
    assert SERVER_KINDS["redis"].launch(spec, site).command[-2:] == ("--maxmemory", "64mb")
