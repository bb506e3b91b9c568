"""Signing up, logging in, and one's own account."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge import HttpAnswer
from target_app.gateway.context import GatewayContext
from target_app.serving import ServiceRoute, exchange_of, json_answer, read_json
from target_app.sessions.account import change_account, delete_account, relay, show_account

__all__ = ["AccountRoutes"]

# Below the entry's timeouts, so that a late answer comes from here, marked or with Retry-After.
_LOGIN_DEADLINE_S = 1.5
_DEADLINE_S = 1.0


class _Handle(msgspec.Struct):
    handle: str


class AccountRoutes:
    """The handlers of accounts and sessions."""

    def __init__(self, context: GatewayContext) -> None:
        self._context = context

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes."""
        route = ServiceRoute
        return (
            route("POST", "/v1/sessions", self.create_session, 0, "login", _LOGIN_DEADLINE_S),
            route("POST", "/v1/accounts", self.create_account, 1, "sign-up", _LOGIN_DEADLINE_S),
            route("GET", "/v1/me", self.show_me, 0, "session", _DEADLINE_S),
            route("GET", "/v1/me/account", self.show_account, 1, "account", _DEADLINE_S),
            route("PATCH", "/v1/me", self.change_me, 1, "account", _DEADLINE_S),
            route("DELETE", "/v1/me", self.delete_me, 1, "account", _DEADLINE_S),
        )

    async def create_account(self, request: Request) -> Response:
        """Join threads, as somebody new or with the account of photos."""
        await self._context.limits.take_sign_up()
        answer = await self._with_password(request, "/internal/accounts", wrong=409)
        self._context.count_write("account", answer)
        return relay(request, answer)

    async def create_session(self, request: Request) -> Response:
        """Log in."""
        return relay(request, await self._with_password(request, "/internal/sessions", wrong=401))

    async def show_me(self, request: Request) -> Response:
        """Return who the token speaks for, as it says itself: nobody is asked."""
        token = await self._context.sessions.token_of(request)
        body = {
            "user_id": token.user_id,
            "handle": token.handle,
            "expires_at": token.expires_at,
        }
        return json_answer(request, body)

    async def show_account(self, request: Request) -> Response:
        """Return one's account as it is now."""
        token = await self._context.sessions.token_of(request)
        return await show_account(request, self._context.identity, token.user_id)

    async def change_me(self, request: Request) -> Response:
        """Change one's account, in both apps."""
        token = await self._context.sessions.token_of(request)
        return await change_account(request, self._context.identity, token.user_id)

    async def delete_me(self, request: Request) -> Response:
        """Delete one's account, in both apps."""
        token = await self._context.sessions.token_of(request)
        return await delete_account(request, self._context.identity, token.user_id)

    async def _with_password(self, request: Request, path: str, *, wrong: int) -> HttpAnswer:
        """Pass on a body with a password; who guesses too often has to wait."""
        handle = (await read_json(request, _Handle)).handle
        limits = self._context.limits
        await limits.check_password(request, handle)
        exchange = exchange_of(request)
        # A sign-up sent twice gives the same account, a log-in another token.
        answer = await self._context.identity.request(
            "POST",
            path,
            body=await request.body(),
            headers={**exchange.internal_headers(), "Content-Type": "application/json"},
            deadline=exchange.deadline,
            idempotent=True,
        )
        if answer.status == wrong:
            await limits.note_wrong_password(request, handle)
        return answer
