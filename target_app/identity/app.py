"""The identity process: accounts, sessions and the keys that verify tokens."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge.postgres import PostgresEdge
from target_app.identity import statements
from target_app.identity.accounts import EDGE, Accounts, new_session, password_matches
from target_app.identity.signing import ANNOUNCED_S, SigningKeys
from target_app.serving import (
    Service,
    ServiceError,
    ServiceRoute,
    exchange_of,
    json_answer,
    read_json,
    run_app,
)
from target_app.settings import Settings

__all__ = ["IdentityApp", "main"]

_POOL_SIZE = 8


class _Credentials(msgspec.Struct):
    handle: str
    password: str


class IdentityApp:
    """The handlers of sessions and keys, beside those of accounts."""

    def __init__(self, service: Service, postgres: PostgresEdge) -> None:
        self._service = service
        self._postgres = postgres
        self._keys = SigningKeys(
            postgres,
            service.clock,
            service.settings.seed,
            lambda error: service.note_error("keys", error),
        )
        self._accounts = Accounts(service, postgres, self._keys)
        self._keep_fresh: asyncio.Task[None] | None = None

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes of the process."""
        return (
            ServiceRoute("POST", "/internal/sessions", self.create_session, 0, "sessions"),
            ServiceRoute("GET", "/internal/keys", self.show_keys, 0, "sessions"),
            *self._accounts.routes(),
            ServiceRoute("POST", "/admin/keys/rotate", self.rotate_keys, 0, "sessions"),
        )

    async def start(self) -> None:
        """Wait for the database, and begin to keep the keys fresh."""
        await self._postgres.wait_connected()
        self._keep_fresh = asyncio.create_task(self._keys.keep_fresh())

    async def stop(self) -> None:
        """End what :meth:`start` began."""
        if self._keep_fresh is not None:
            self._keep_fresh.cancel()
            await asyncio.gather(self._keep_fresh, return_exceptions=True)

    async def create_session(self, request: Request) -> Response:
        """Check a password and sign a token: 200, or 401 without saying which part was wrong."""
        given = await read_json(request, _Credentials)
        row = None
        # The database has no text with NUL in it, nor has anybody such a handle.
        if "\0" not in given.handle:
            row = await self._postgres.fetchrow(
                statements.BY_HANDLE, given.handle, deadline=exchange_of(request).deadline
            )
        if row is None or not await password_matches(row, given.password):
            raise ServiceError(401, "wrong_credentials", "no such handle and password")
        ring = self._keys.ring
        if ring is None:
            raise _no_keys()
        session = new_session(row, ring, now_s=self._service.clock.wall())
        return json_answer(request, {**session, "user_id": row["user_id"]})

    async def show_keys(self, request: Request) -> Response:
        """Return the keys that verify tokens, and whose tokens are void; for services only."""
        ring = self._keys.ring
        if ring is None:
            raise _no_keys()
        keys = {name: base64.b64encode(key).decode() for name, key in ring.keys.items()}
        body = {"current": ring.current, "keys": keys, "revoked": sorted(self._keys.revoked)}
        return json_answer(request, body)

    async def rotate_keys(self, request: Request) -> Response:
        """Announce a new key, which signs as soon as every verifier knows it."""
        key = await self._keys.rotate()
        return json_answer(request, {"key": f"k{key.number}", "signs_in_s": ANNOUNCED_S}, 202)


def main(settings: Settings) -> int:
    """Serve until SIGTERM and return the exit code."""
    service = Service(settings, trusts_callers=True)
    postgres = service.postgres_edge(EDGE, statements.ALL, size=_POOL_SIZE)
    identity = IdentityApp(service, postgres)
    app = service.application(identity.routes(), on_start=identity.start, on_stop=identity.stop)
    return run_app(app, settings, service.log)


def _no_keys() -> ServiceError:
    return ServiceError(503, "unavailable", "no keys yet", {"Retry-After": "1"})
