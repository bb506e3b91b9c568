"""The gateway's routes are those of the published interface, tier by tier."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from target_app.edge import load_policies
from target_app.gateway.app import GatewayApp
from target_app.serving import Service
from target_app.settings import Settings

TARGET_APP = Path(__file__).parents[3] / "target_app"


def gateway() -> GatewayApp:
    policies = load_policies(TARGET_APP / "edges.toml")
    settings = Settings(
        role="gateway",
        port=1,
        edges=dict.fromkeys(policies, ("127.0.0.1", 1)),
        policies=policies,
        fallback_off=frozenset(),
        seed=1,
        database="threads",
        database_user="app",
        log_dir=None,
        scrypt_log2_n=4,
        flags=None,
        defects=frozenset(),
        allows_defects=False,
        region="a",
    )
    return GatewayApp(Service(settings, trusts_callers=False))


def published() -> dict[str, str]:
    """Return the tier by ``METHOD /template``."""
    paths = yaml.safe_load((TARGET_APP / "openapi.yaml").read_text(encoding="utf-8"))["paths"]
    return {
        f"{method.upper()} {path}": operation["x-tier"]
        for path, operations in paths.items()
        for method, operation in operations.items()
        if not path.startswith("/p/")
    }


def test_every_route_is_published_with_its_tier_and_every_published_one_is_there() -> None:
    routes = gateway().routes()
    assert {f"{route.method} {route.path}": f"T{route.tier}" for route in routes} == published()
    assert len(routes) == len(published())


def test_the_gateway_gives_up_before_the_entry_does() -> None:
    entry = (TARGET_APP / "envoy.yaml").read_text(encoding="utf-8")
    timeouts_s = {
        path: int(seconds)
        for path, seconds in re.findall(
            r"(?:path|prefix): (/v1/\S*)\n\s+route:\n\s+cluster: gateway\n\s+timeout: (\d+)s", entry
        )
    }
    assert "/v1/" in timeouts_s
    for route in gateway().routes():
        limit_s = timeouts_s.get(route.path, timeouts_s["/v1/"])
        assert route.deadline_s < limit_s, route.path
