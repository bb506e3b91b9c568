"""The one permission model that every app asks: who may see what of whom."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from prometheus_client import CollectorRegistry, Counter
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge.postgres import PostgresEdge
from target_app.serving import ServiceError, ServiceRoute, exchange_of, json_answer, read_json

__all__ = ["VISIBILITY", "Permissions"]

_MOST_IDS = 200
_APPS = {"photos": 1, "threads": 2}

VISIBILITY = """
SELECT user_id, visibility($1, user_id, $3::smallint) AS reason
FROM unnest($2::bigint[]) AS asked (user_id)
"""


class _Asked(msgspec.Struct):
    viewer_id: int
    user_ids: list[int]
    app: str = "threads"


class Permissions:
    """Answers ``POST /internal/permissions`` from the database, past every cache.

    It fails closed: while the database is lost there is no answer, and nothing is shown.
    """

    def __init__(self, postgres: PostgresEdge, registry: CollectorRegistry) -> None:
        self._postgres = postgres
        self._denied = Counter(
            "app_acl_denied_total",
            "Users of whom nothing was to be shown to the viewer, by reason.",
            ["reason"],
            registry=registry,
        )

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the route."""
        return (ServiceRoute("POST", "/internal/permissions", self.show, 0, "blocks"),)

    async def show(self, request: Request) -> Response:
        """Return of whom nothing may be shown to the viewer, and why."""
        asked = await read_json(request, _Asked)
        if len(asked.user_ids) > _MOST_IDS or asked.app not in _APPS:
            detail = f"user_ids or app (accepted: at most {_MOST_IDS}; {', '.join(_APPS)})"
            raise ServiceError(400, "bad_request", detail)
        rows = await self._postgres.fetch(
            VISIBILITY,
            asked.viewer_id,
            asked.user_ids,
            _APPS[asked.app],
            deadline=exchange_of(request).deadline,
        )
        hidden = {row["user_id"]: row["reason"] for row in rows if row["reason"] != "visible"}
        for reason in hidden.values():
            self._denied.labels(reason).inc()
        return json_answer(request, {"hidden": {str(key): word for key, word in hidden.items()}})
