"""Accounts: signing up, changing, deleting and naming them."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.edge.errors import EdgeError
from target_app.edge.postgres import PostgresEdge, Row
from target_app.identity import statements
from target_app.identity.passwords import PasswordHash, hash_password
from target_app.identity.remembered import Remembered
from target_app.identity.signing import SigningKeys
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
)

__all__ = ["EDGE", "Accounts", "new_session", "password_matches"]

EDGE = "identity-pg"
# Ids made by this process never collide with those of the graph process.
_NODE = 1
# How long names may be served from memory while the database is lost.
_STALE_S = 300.0
_MOST_IDS = 200
_PUBLIC = ("user_id", "handle", "display_name", "bio", "avatar", "is_private", "apps", "version")
_HANDLE = re.compile(r"[a-z0-9_.]{3,30}")
_AVATAR = re.compile(r"([0-9a-f]{64})?")
_THREADS = 2


class _NewAccount(msgspec.Struct):
    handle: str
    password: str
    display_name: str
    import_follows: bool = False


class _Changes(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    handle: str | None = None
    display_name: str | None = None
    bio: str | None = None
    avatar: str | None = None
    is_private: bool | None = None


class _Ids(msgspec.Struct):
    ids: list[int]


class Accounts:
    """The handlers of accounts."""

    def __init__(self, service: Service, postgres: PostgresEdge, keys: SigningKeys) -> None:
        self._service = service
        self._postgres = postgres
        self._keys = keys
        self._ids = IdGenerator(service.clock, node=_NODE)
        self._users = Remembered(service.clock, keep_s=_STALE_S, capacity=20_000)

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes."""
        by_id = "/internal/users/{user_id}"
        by_handle = "/internal/users/by-handle/{handle}"
        return (
            ServiceRoute("POST", "/internal/accounts", self.create, 1, "accounts"),
            ServiceRoute("POST", "/internal/users/batch", self.show_several, 1, "users"),
            ServiceRoute("GET", by_id, self.show, 1, "users"),
            ServiceRoute("GET", by_handle, self.show_by_handle, 1, "users"),
            ServiceRoute("PATCH", by_id, self.change, 1, "accounts"),
            ServiceRoute("DELETE", by_id, self.delete, 1, "accounts"),
        )

    async def create(self, request: Request) -> Response:
        """Join threads with a new account or with that of photos: 201, 409 if the handle is taken.

        The same handle, name and password again is a replay: 200 and the same account, so that a
        sign-up whose answer got lost can be sent again.
        """
        wanted = await read_json(request, _NewAccount)
        _check(wanted.handle, wanted.display_name)
        if not 8 <= len(wanted.password) <= 200:
            raise ServiceError(400, "bad_request", "password (accepted: 8 to 200 characters)")
        deadline = exchange_of(request).deadline
        hashed = await asyncio.to_thread(
            hash_password,
            wanted.password,
            salt=secrets.token_bytes(16),
            log2_n=self._service.settings.scrypt_log2_n,
        )
        user_id = self._ids.next()
        secret = (hashed.salt, hashed.digest, hashed.log2_n)
        new = (wanted.handle, wanted.display_name, *secret, wanted.import_follows)
        row = await self._postgres.fetchrow(statements.ADD, user_id, *new, deadline=deadline)
        status = 201
        if row is None or not row["done"]:
            user_id, status = await self._join(request, wanted)
        return json_answer(request, {"user_id": user_id, "handle": wanted.handle}, status)

    async def _join(self, request: Request, wanted: _NewAccount) -> tuple[int, int]:
        """Return the id of the account that has the handle already, and the status."""
        deadline = exchange_of(request).deadline
        row = await self._postgres.fetchrow(statements.BY_HANDLE, wanted.handle, deadline=deadline)
        taken = ServiceError(409, "handle_taken", f"handle {wanted.handle!r} is taken")
        if row is None or not await password_matches(row, wanted.password):
            raise taken
        user_id: int = row["user_id"]
        if row["apps"] & _THREADS:
            if row["display_name"] != wanted.display_name:
                raise taken
            return user_id, 200
        arguments = (user_id, wanted.display_name, wanted.import_follows)
        joined = await self._postgres.fetchrow(statements.JOIN, *arguments, deadline=deadline)
        return user_id, 201 if joined is not None and joined["done"] else 200

    async def change(self, request: Request) -> Response:
        """Change an account as its owner saw it: 200 with a token of the new handle, or 409.

        A 409 holds what the account is now under ``current``.
        """
        user_id = read_number(request.path_params, "user_id")
        changes = await read_json(request, _Changes)
        _check(changes.handle, changes.display_name)
        if changes.bio is not None and (len(changes.bio) > 160 or "\0" in changes.bio):
            raise ServiceError(400, "bad_request", "bio (accepted: up to 160 characters, no NUL)")
        if changes.avatar is not None and not _AVATAR.fullmatch(changes.avatar):
            accepted = "64 hexadecimal digits of an image, empty for none"
            raise ServiceError(400, "bad_request", f"avatar (accepted: {accepted})")
        ring = self._keys.ring
        if ring is None:
            raise ServiceError(503, "unavailable", "no keys yet", {"Retry-After": "1"})
        deadline = exchange_of(request).deadline
        # Sent once: a second try of a change that was made would find another version.
        row = await self._postgres.fetchrow(
            statements.CHANGE,
            user_id,
            min(max(changes.version, 0), 2**31 - 1),
            *msgspec.structs.astuple(changes)[1:],
            deadline=deadline,
            idempotent=False,
        )
        outcome = row["outcome"] if row is not None else "unknown"
        current = await self._postgres.fetchrow(statements.BY_ID, user_id, deadline=deadline)
        if current is None or outcome == "unknown":
            raise ServiceError(404, "unknown_user", f"no user {user_id}")
        user = _public(current)
        if outcome == "done":
            session = new_session(current, ring, now_s=self._service.clock.wall())
            return json_answer(request, {**user, **session})
        detail = {
            "stale": f"version is {changes.version}: the account has changed since",
            "handle_taken": f"handle {changes.handle!r} is taken",
        }[outcome]
        error = ServiceError(409, outcome, detail)
        problem = msgspec.json.decode(error.to_response().body)
        response = json_answer(request, {**problem, "current": user}, 409)
        response.headers["Content-Type"] = "application/problem+json"
        return response

    async def delete(self, request: Request) -> Response:
        """Delete an account; a second time changes nothing."""
        user_id = read_number(request.path_params, "user_id")
        deadline = exchange_of(request).deadline
        row = await self._postgres.fetchrow(statements.DELETE, user_id, deadline=deadline)
        self._keys.revoke(user_id)
        return json_answer(request, {"changed": row is not None and row["done"]})

    async def show(self, request: Request) -> Response:
        """Return the public part of an account by id."""
        user_id = read_number(request.path_params, "user_id")
        users = await self._read(request, {str(user_id): user_id}, statements.BY_ID)
        return self._answer_one(request, users, user_id)

    async def show_by_handle(self, request: Request) -> Response:
        """Return the public part of an account by handle."""
        handle = request.path_params["handle"]
        if not _HANDLE.fullmatch(handle):
            raise ServiceError(404, "unknown_user", f"no user {handle[:80]!r}")
        users = await self._read(request, {f"@{handle}": handle}, statements.BY_HANDLE)
        return self._answer_one(request, users, handle)

    async def show_several(self, request: Request) -> Response:
        """Return the public parts of accounts; who is unknown is left out."""
        asked = (await read_json(request, _Ids)).ids
        if len(asked) > _MOST_IDS:
            detail = f"{len(asked)} ids (accepted: at most {_MOST_IDS})"
            raise ServiceError(400, "bad_request", detail)
        keys: dict[str, object] = {str(user_id): user_id for user_id in asked}
        return json_answer(
            request, {"users": await self._read(request, keys, statements.BY_IDS, asked)}
        )

    def _answer_one(
        self, request: Request, users: Sequence[Mapping[str, object]], asked: object
    ) -> Response:
        if not users:
            raise ServiceError(404, "unknown_user", f"no user {asked!r}")
        return json_answer(request, users[0])

    async def _read(
        self, request: Request, keys: Mapping[str, object], query: str, ids: object = None
    ) -> Sequence[Mapping[str, object]]:
        """Return accounts from the database, or while it is lost from memory, marked."""
        argument = ids if ids is not None else next(iter(keys.values()))
        try:
            rows = await self._postgres.fetch(
                query, argument, deadline=exchange_of(request).deadline
            )
        except EdgeError as error:
            found = [answer for key in keys if (answer := self._users.get(key)) is not None]
            if not found or not self._service.fallback_allowed(EDGE):
                raise
            self._service.note_error("users", error)
            mark_degraded(request, "names", "cached", EDGE, max(each.age_s for each in found))
            return [each.value for each in found]
        users = [_public(row) for row in rows]
        for user in users:
            self._users.put(str(user["user_id"]), user)
            self._users.put(f"@{user['handle']}", user)
        return users


def new_session(row: Row, ring: KeyRing, *, now_s: float) -> dict[str, object]:
    """Return a new token with when it expires."""
    token = Token(row["user_id"], row["handle"], now_s, now_s + LIFETIME_S, row["apps"])
    return {"token": sign(token, ring), "expires_at": token.expires_at}


async def password_matches(row: Row, password: str) -> bool:
    """Return whether this is the password of the account."""
    stored = PasswordHash(row["password_salt"], row["password_hash"], row["password_log2_n"])
    # scrypt lets go of the interpreter lock, so the event loop runs on meanwhile.
    return await asyncio.to_thread(stored.matches, password)


def _public(row: Row) -> dict[str, object]:
    return {name: row[name] for name in _PUBLIC}


def _check(handle: str | None, display_name: str | None) -> None:
    if handle is not None and not _HANDLE.fullmatch(handle):
        accepted = "3 to 30 of a-z, 0-9, _ and ."
        detail = f"handle is {handle[:80]!r} (accepted: {accepted})"
        raise ServiceError(400, "bad_request", detail)
    if display_name is not None and not (1 <= len(display_name) <= 50 and "\0" not in display_name):
        raise ServiceError(
            400, "bad_request", "display_name (accepted: 1 to 50 characters, no NUL)"
        )
