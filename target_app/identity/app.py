"""The identity process: accounts, sessions and the keys that verify tokens."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge.errors import EdgeError
from target_app.edge.postgres import PostgresEdge, Row
from target_app.identity.passwords import PasswordHash, hash_password
from target_app.identity.remembered import Remembered
from target_app.identity.tokens import LIFETIME_S, KeyRing, Token, sign
from target_app.ids import IdGenerator
from target_app.serving import (
    Service,
    ServiceError,
    ServiceRoute,
    exchange_of,
    json_answer,
    mark_degraded,
    read_json,
    read_number,
    run_app,
)
from target_app.settings import Settings

__all__ = ["IdentityApp", "main"]

_EDGE = "identity-pg"
_POOL_SIZE = 8
# Ids made by this process never collide with those of the graph process.
_NODE = 1
_HANDLE = re.compile(r"[a-z0-9_.]{3,30}")
# How long names may be served from memory while the database is lost.
_STALE_S = 300.0

_ADD = """
WITH account AS (
    INSERT INTO accounts
        (user_id, handle, display_name, password_salt, password_hash, password_log2_n)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (handle) DO NOTHING
    RETURNING user_id
)
INSERT INTO user_counts (user_id) SELECT user_id FROM account RETURNING user_id
"""
_COLUMNS = "user_id, handle, display_name, password_salt, password_hash, password_log2_n"
_BY_HANDLE = f"SELECT {_COLUMNS} FROM accounts WHERE handle = $1"  # noqa: S608  # a constant
_BY_ID = f"SELECT {_COLUMNS} FROM accounts WHERE user_id = $1"  # noqa: S608  # a constant


class _NewAccount(msgspec.Struct):
    handle: str
    password: str
    display_name: str


class _Credentials(msgspec.Struct):
    handle: str
    password: str


class IdentityApp:
    """The handlers of the identity process."""

    def __init__(self, service: Service, postgres: PostgresEdge, ring: KeyRing) -> None:
        self._service = service
        self._postgres = postgres
        self._ring = ring
        self._ids = IdGenerator(service.clock, node=_NODE)
        self._users = Remembered(service.clock, keep_s=_STALE_S, capacity=20_000)

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes of the process."""
        return (
            ServiceRoute("POST", "/internal/accounts", self.create_account, 1, "accounts"),
            ServiceRoute("POST", "/internal/sessions", self.create_session, 0, "sessions"),
            ServiceRoute("GET", "/internal/keys", self.show_keys, 0, "sessions"),
            ServiceRoute("GET", "/internal/users/{user_id}", self.show_user, 1, "users"),
            ServiceRoute(
                "GET", "/internal/users/by-handle/{handle}", self.show_by_handle, 1, "users"
            ),
        )

    async def create_account(self, request: Request) -> Response:
        """Create an account: 201, 409 if the handle is taken.

        The same handle, name and password again is a replay: 200 and the same account, so that a
        sign-up whose answer got lost can be sent again.
        """
        wanted = await read_json(request, _NewAccount)
        _check(wanted)
        log2_n = self._service.settings.scrypt_log2_n
        hashed = await asyncio.to_thread(
            hash_password, wanted.password, salt=secrets.token_bytes(16), log2_n=log2_n
        )
        deadline = exchange_of(request).deadline
        rows = await self._postgres.fetch(
            _ADD,
            self._ids.next(),
            wanted.handle,
            wanted.display_name,
            hashed.salt,
            hashed.digest,
            hashed.log2_n,
            deadline=deadline,
        )
        if rows:
            body = {"user_id": rows[0]["user_id"], "handle": wanted.handle}
            return json_answer(request, body, 201)
        row = await self._postgres.fetchrow(_BY_HANDLE, wanted.handle, deadline=deadline)
        if (
            row is None
            or row["display_name"] != wanted.display_name
            or not await _matches(row, wanted.password)
        ):
            raise ServiceError(409, "handle_taken", f"handle {wanted.handle!r} is taken")
        return json_answer(request, {"user_id": row["user_id"], "handle": wanted.handle}, 200)

    async def create_session(self, request: Request) -> Response:
        """Check a password and sign a token: 200, or 401 without saying which part was wrong."""
        given = await read_json(request, _Credentials)
        row = await self._postgres.fetchrow(
            _BY_HANDLE, given.handle, deadline=exchange_of(request).deadline
        )
        if row is None or not await _matches(row, given.password):
            raise ServiceError(401, "wrong_credentials", "no such handle and password")
        now_s = self._service.clock.wall()
        token = Token(row["user_id"], row["handle"], now_s, now_s + LIFETIME_S)
        body = {
            "token": sign(token, self._ring),
            "user_id": token.user_id,
            "expires_at": token.expires_at,
        }
        return json_answer(request, body)

    async def show_keys(self, request: Request) -> Response:
        """Return the keys that verify tokens; for services only."""
        keys = {name: base64.b64encode(key).decode() for name, key in self._ring.keys.items()}
        return json_answer(request, {"current": self._ring.current, "keys": keys})

    async def show_user(self, request: Request) -> Response:
        """Return the public part of an account by id."""
        user_id = read_number(request.path_params, "user_id")
        return await self._show(request, str(user_id), _BY_ID, user_id)

    async def show_by_handle(self, request: Request) -> Response:
        """Return the public part of an account by handle."""
        handle = request.path_params["handle"]
        return await self._show(request, f"@{handle}", _BY_HANDLE, handle)

    async def _show(self, request: Request, key: str, query: str, argument: int | str) -> Response:
        try:
            row = await self._postgres.fetchrow(
                query, argument, deadline=exchange_of(request).deadline
            )
        except EdgeError as error:
            remembered = self._users.get(key)
            if remembered is None or not self._service.fallback_allowed(_EDGE):
                raise
            self._service.note_error("users", error)
            mark_degraded(request, "names", "cached", _EDGE, remembered.age_s)
            return json_answer(request, remembered.value)
        if row is None:
            raise ServiceError(404, "unknown_user", f"no user {argument!r}")
        user = {name: row[name] for name in ("user_id", "handle", "display_name")}
        self._users.put(key, user)
        return json_answer(request, user)


def main(settings: Settings) -> int:
    """Serve until SIGTERM and return the exit code."""
    service = Service(settings, trusts_callers=True)
    statements = (_ADD, _BY_HANDLE, _BY_ID)
    postgres = service.postgres_edge(_EDGE, statements, size=_POOL_SIZE)
    identity = IdentityApp(service, postgres, KeyRing.derived(settings.seed))
    app = service.application(identity.routes(), on_start=postgres.wait_connected)
    return run_app(app, settings, service.log)


def _check(account: _NewAccount) -> None:
    if not _HANDLE.fullmatch(account.handle):
        accepted = "3 to 30 of a-z, 0-9, _ and ."
        detail = f"handle is {account.handle!r} (accepted: {accepted})"
        raise ServiceError(400, "bad_request", detail)
    if not 8 <= len(account.password) <= 200:
        raise ServiceError(400, "bad_request", "password (accepted: 8 to 200 characters)")
    if not 1 <= len(account.display_name) <= 50:
        raise ServiceError(400, "bad_request", "display_name (accepted: 1 to 50 characters)")


async def _matches(row: Row, password: str) -> bool:
    stored = PasswordHash(row["password_salt"], row["password_hash"], row["password_log2_n"])
    # scrypt lets go of the interpreter lock, so the event loop runs on meanwhile.
    return await asyncio.to_thread(stored.matches, password)
