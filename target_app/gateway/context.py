"""What the parts of the gateway share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from target_app.edge import HttpAnswer, HttpEdge
from target_app.gateway.limits import Limits
from target_app.serving import Service, exchange_of, read_number
from target_app.sessions import Sessions

__all__ = ["GatewayContext", "page_query"]


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """The process, who a request speaks for, the services behind, and who counts writes.

    ``count_write`` takes what kind of write it was and the answer to it.
    """

    service: Service
    sessions: Sessions
    identity: HttpEdge
    graph: HttpEdge
    feed: HttpEdge
    limits: Limits
    count_write: Callable[[str, HttpAnswer], None]

    async def ask_graph(
        self, request: Request, method: str, path: str, body: object = None
    ) -> HttpAnswer:
        """Ask the graph on behalf of a request.

        All that is sent there may be sent twice: posts carry a key, associations are sets, and a
        batch is a question with a body.
        """
        exchange = exchange_of(request)
        return await self.graph.request(
            method,
            path,
            json=body,
            headers=exchange.internal_headers(),
            deadline=exchange.deadline,
            idempotent=True,
        )


def page_query(request: Request, viewer_id: int, *, most: int = 50) -> str:
    """Return the query that asks the graph for a page as this viewer sees it."""
    limit = read_number(request.query_params, "limit", min(20, most), most=most)
    return f"viewer_id={viewer_id}&limit={limit}"
