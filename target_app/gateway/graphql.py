"""Queries in GraphQL over what the other routes read, limited before they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge import EdgeError
from target_app.gateway.context import GatewayContext
from target_app.serving import ServiceError, ServiceRoute, json_answer, read_json

__all__ = ["GraphQl"]

_DEADLINE_S = 1.8
# More is no query that a person has written.
_MAX_TOKENS = 1_000


class _Sent(msgspec.Struct):
    query: str
    variables: dict[str, object] | None = None
    operation_name: str | None = msgspec.field(name="operationName", default=None)


class GraphQl:
    """Answers ``POST /graphql``."""

    def __init__(self, context: GatewayContext) -> None:
        self._context = context

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes."""
        return (
            ServiceRoute(
                "POST", "/graphql", self.answer, 1, "graphql", _DEADLINE_S, only_reads=True
            ),
        )

    async def answer(self, request: Request) -> Response:
        """Answer one query; what is wrong with it is listed under ``errors``."""
        viewer = await self._context.sessions.token_of(request)
        flags = self._context.service.flags
        if not flags.is_on("graphql.enabled", user_id=viewer.user_id):
            raise ServiceError(404, "switched_off", "GraphQL is switched off")
        sent = await read_json(request, _Sent)
        # The library takes a second to load, which nobody else should wait for.
        await asyncio.to_thread(_load)
        from graphql import GraphQLError, parse  # noqa: PLC0415  # see above

        from target_app.gateway.query_limits import (  # noqa: PLC0415
            QueryLimitError,
            check_limits,
        )
        from target_app.gateway.query_schema import Asker, schema  # noqa: PLC0415

        try:
            document = parse(sent.query, max_tokens=_MAX_TOKENS)
            check_limits(document, sent.variables or {})
        except GraphQLError as error:
            return json_answer(request, {"data": None, "errors": [error.formatted]})
        except QueryLimitError as error:
            return json_answer(request, {"data": None, "errors": [{"message": str(error)}]})
        result = await schema.execute(
            sent.query,
            variable_values=sent.variables,
            context_value=Asker(self._context, request, viewer),
            operation_name=sent.operation_name,
        )
        errors = result.errors or []
        for each in errors:
            lost = each.original_error
            if not isinstance(lost, EdgeError):
                continue
            if not any((result.data or {}).values()):
                raise lost
            self._context.service.note_error("graphql", lost)
        body: dict[str, object] = {"data": result.data}
        if errors:
            body["errors"] = [each.formatted for each in errors]
        return json_answer(request, body)


def _load() -> None:
    import target_app.gateway.query_schema  # noqa: F401, PLC0415
