"""The routes of photos are those of the published interface, tier by tier."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import yaml

from target_app.edge import HttpEdge
from target_app.photos.access import Access
from target_app.photos.people import People
from target_app.photos.pictures import Pictures
from target_app.sessions import Sessions

INTERFACE = Path(__file__).parents[3] / "target_app" / "openapi.yaml"


def test_every_route_is_published_with_its_tier_and_every_published_one_is_there() -> None:
    access, sessions = cast("Access", None), cast("Sessions", None)
    edge = cast("HttpEdge", None)
    people = People(access, sessions, edge, edge, lambda feature, error: None)
    routes = (*Pictures(access, sessions).routes(), *people.routes())
    published = {
        f"{method.upper()} {path}": operation["x-tier"]
        for path, operations in yaml.safe_load(INTERFACE.read_text())["paths"].items()
        for method, operation in operations.items()
        if path.startswith("/p/")
    }
    assert {f"{route.method} {route.path}": f"T{route.tier}" for route in routes} == published
    assert len(routes) == len(published)
