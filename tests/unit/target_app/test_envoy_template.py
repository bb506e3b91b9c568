"""The entry's configuration template, read as data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

TARGET_APP = Path(__file__).parents[3] / "target_app"
PLACEHOLDERS = {"{port:envoy}": "8080", "{port:envoy-admin}": "9901", "{eds_dir}": "/run/eds"}


@pytest.fixture
def config() -> dict[str, object]:
    """Return the template as the driver would fill it."""
    text = (TARGET_APP / "envoy.yaml").read_text(encoding="utf-8")
    for placeholder, value in PLACEHOLDERS.items():
        assert placeholder in text
        text = text.replace(placeholder, value)
    assert re.findall(r"\{(?:port:|eds_)[^}]*\}", text) == []
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    return loaded


def at(value: object, *keys: str | int) -> object:
    """Walk into nested mappings and lists."""
    for key in keys:
        if isinstance(key, int):
            assert isinstance(value, list)
            value = value[key]
        else:
            assert isinstance(value, dict)
            value = value[key]
    return value


def manager(config: dict[str, object]) -> object:
    """Return the HTTP connection manager's own settings."""
    return at(
        config, "static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config"
    )


def routes(config: dict[str, object]) -> list[dict[str, object]]:
    """Return the routes in the order in which Envoy tries them."""
    found = at(manager(config), "route_config", "virtual_hosts", 0, "routes")
    assert isinstance(found, list)
    return found


def test_the_entry_and_its_admin_listen_on_loopback_only(config: dict[str, object]) -> None:
    listener = at(config, "static_resources", "listeners", 0)
    for owner, port in ((listener, 8080), (at(config, "admin"), 9901)):
        assert at(owner, "address", "socket_address") == {
            "address": "127.0.0.1",
            "port_value": port,
        }


def test_every_route_to_the_gateway_has_its_own_timeout(config: dict[str, object]) -> None:
    actions = {str(route["name"]): route["route"] for route in routes(config) if "route" in route}
    assert len(actions) > 10
    for name, action in actions.items():
        other = {"live": "live", "photos": "photos"}
        assert at(action, "cluster") == other.get(name, "gateway")
        # A socket stays open; every other answer has its time.
        assert re.fullmatch(r"0s" if name == "live" else r"[1-9]s", str(at(action, "timeout")))


def test_internal_paths_end_at_the_entry(config: dict[str, object]) -> None:
    reachable = {
        str(match.get("path") or match.get("prefix"))
        for route in routes(config)
        if "route" in route and isinstance(match := route["match"], dict)
    }
    public = {"/readyz", "/", "/@", "/graphql", "/openapi.json", "/m/", "/p/"}
    public |= {"/.well-known/shadow-target"}
    assert all(path in public or path.startswith("/v1/") for path in reachable)
    last = routes(config)[-1]
    assert last["match"] == {"prefix": "/"}
    assert at(last, "direct_response", "status") == 404


def test_only_connections_that_never_opened_are_retried(config: dict[str, object]) -> None:
    policy = at(manager(config), "route_config", "virtual_hosts", 0, "retry_policy")
    assert at(policy, "retry_on") == "connect-failure,refused-stream"
    assert at(policy, "num_retries") == 1


def test_a_lost_gateway_is_not_dressed_up_as_shed(config: dict[str, object]) -> None:
    mappers = at(manager(config), "local_reply_config", "mappers")
    assert isinstance(mappers, list)
    marked = {
        flag
        for mapper in mappers
        for flag in mapper["filter"]["response_flag_filter"]["flags"]
        if any(header["header"]["key"] == "Retry-After" for header in mapper["headers_to_add"])
    }
    # UH, UF, UC and UT stand for no healthy host, failed or broken connection, and timeout.
    assert marked.isdisjoint({"UH", "UF", "UC", "UT"})
    assert "UO" in marked


def test_the_app_s_own_503_never_ejects_a_replica(config: dict[str, object]) -> None:
    detection = at(config, "static_resources", "clusters", 0, "outlier_detection")
    assert at(detection, "split_external_local_origin_errors") is True
    assert at(detection, "enforcing_consecutive_5xx") == 0
    assert at(detection, "enforcing_consecutive_gateway_failure") == 0
    assert at(detection, "enforcing_consecutive_local_origin_failure") == 100


def test_copies_for_a_shadow_stack_are_marked_and_off_by_default(config: dict[str, object]) -> None:
    host = at(manager(config), "route_config", "virtual_hosts", 0)
    policy = at(host, "request_mirror_policies", 0)
    assert at(policy, "cluster") == "shadow"
    assert at(policy, "runtime_fraction", "default_value", "numerator") == 0
    header = at(policy, "request_headers_mutations", 0, "append", "header")
    assert header == {"key": "X-Shadow", "value": "1"}


def test_endpoints_come_from_a_watched_file(config: dict[str, object]) -> None:
    cluster = at(config, "static_resources", "clusters", 0)
    assert at(cluster, "name") == "gateway"
    assert at(cluster, "eds_cluster_config", "eds_config", "path_config_source") == {
        "path": "/run/eds/gateway.yaml",
        "watched_directory": {"path": "/run/eds"},
    }
