"""Associations and objects as such, in the manner of TAO (Bronson et al., USENIX ATC 2013).

What has rules of its own (follows, blocks, likes of posts) is written elsewhere; here it is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from target_app.clock import Clock
from target_app.edge.postgres import PostgresEdge, Row
from target_app.ids import IdGenerator, shard_of
from target_app.serving import (
    ServiceError,
    ServiceRoute,
    exchange_of,
    json_answer,
    read_json,
    read_number,
)

__all__ = ["KINDS", "STATEMENTS", "Tao"]

# Ids of objects never collide with those that other generators make.
_NODE = 3
_MOST_IDS = 200
_MOST_RANGE = 1000
_LONGEST_DATA = 16 * 1024

KINDS = {
    "follows": 1,
    "followed_by": 2,
    "blocks": 3,
    "blocked_by": 4,
    "likes": 5,
    "liked_by": 6,
    "mutes": 7,
    "pending_follows": 9,
    "pending_follow_of": 10,
    "photo_follows": 11,
    "photo_followed_by": 12,
    "photo_likes": 13,
    "photo_liked_by": 14,
    "authored": 15,
    "authored_by": 16,
    "follow_requests": 17,
    "follow_request_of": 18,
}
_ASSOC = "SELECT to_id, extract(epoch FROM created_at)::float8 AS created_at FROM assocs"
GET = f"{_ASSOC} WHERE kind = $1 AND from_id = $2 AND to_id = ANY($3::bigint[])"
# The newest first: from position $5 on, of those made between two moments.
RANGE = f"""
{_ASSOC} WHERE kind = $1 AND from_id = $2
AND created_at BETWEEN to_timestamp($3::float8) AND to_timestamp($4::float8)
ORDER BY created_at DESC, to_id DESC OFFSET $5 LIMIT $6
"""
COUNT = "SELECT count(*) AS count FROM assocs WHERE kind = $1 AND from_id = $2"
RANGES = """
SELECT asked.from_id, found.to_id FROM unnest($2::bigint[]) AS asked (from_id)
CROSS JOIN LATERAL (
    SELECT to_id, created_at FROM assocs
    WHERE kind = $1 AND from_id = asked.from_id ORDER BY created_at DESC, to_id DESC LIMIT $3
) found ORDER BY asked.from_id, found.created_at DESC, found.to_id DESC
"""
OBJECTS = """
SELECT object_id, type, data, version FROM objects WHERE object_id = ANY($1::bigint[])
"""
ADD_OBJECT = """
INSERT INTO objects (object_id, type, data) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
CHANGE_OBJECT = """
UPDATE objects SET data = $3, version = version + 1 WHERE object_id = $1 AND version = $2
RETURNING version
"""
DELETE_OBJECT = "DELETE FROM objects WHERE object_id = $1 RETURNING object_id"
ADD_PHOTO = "SELECT outcome, photo_id FROM create_photo($1, $2, $3, $4, $5)"
LIKE_PHOTO = "SELECT like_photo($1, $2) AS outcome"
UNLIKE_PHOTO = """
SELECT CASE WHEN untie(13::smallint, $1, $2) THEN 'done' ELSE 'unchanged' END AS outcome
"""
STATEMENTS = (OBJECTS, RANGES, COUNT, RANGE, GET, ADD_PHOTO, LIKE_PHOTO, UNLIKE_PHOTO)


class _Object(msgspec.Struct):
    type: str
    data: dict[str, msgspec.Raw]
    owner_id: int


class _Change(msgspec.Struct):
    version: int
    data: dict[str, msgspec.Raw]


class _Photo(msgspec.Struct):
    author_id: int
    image: str
    caption: str
    idempotency_key: str


class _Ids(msgspec.Struct):
    ids: list[int]


class _Ranges(msgspec.Struct):
    kind: str
    from_ids: list[int]
    limit: int


class Tao:
    """The handlers of associations and objects."""

    def __init__(self, postgres: PostgresEdge, clock: Clock) -> None:
        self._postgres = postgres
        self._ids = IdGenerator(clock, node=_NODE)

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the routes."""
        assoc = "/internal/tao/assoc/{kind}/{from_id}"
        objects = "/internal/tao/objects"
        one = objects + "/{object_id}"
        photo_like = "/internal/photos/{photo_id}/likes/{user_id}"
        return (
            ServiceRoute("POST", "/internal/tao/ranges", self.ranges, 1, "graph"),
            ServiceRoute("POST", objects + "/batch", self.objects, 1, "graph"),
            ServiceRoute("GET", assoc + "/count", self.count, 1, "graph"),
            ServiceRoute("GET", assoc + "/range", self.range, 1, "graph"),
            ServiceRoute("GET", assoc, self.get, 1, "graph"),
            ServiceRoute("POST", objects, self.add_object, 1, "graph"),
            ServiceRoute("GET", one, self.show_object, 1, "graph"),
            ServiceRoute("PATCH", one, self.change_object, 1, "graph"),
            ServiceRoute("DELETE", one, self.delete_object, 1, "graph"),
            ServiceRoute("POST", "/internal/photos", self.add_photo, 1, "photos"),
            ServiceRoute("POST", photo_like, self.like_photo, 2, "photos"),
            ServiceRoute("DELETE", photo_like, self.like_photo, 2, "photos"),
        )

    async def get(self, request: Request) -> Response:
        """Return those associations whose far ends are among ``ids`` (separated by commas)."""
        text = request.query_params.get("ids", "")
        ids = [read_number({"ids": each}, "ids") for each in text.split(",") if each]
        _check_ids(ids)
        rows = await self._fetch(request, GET, *_from(request), ids)
        return json_answer(request, {"assocs": _assocs(rows)})

    async def range(self, request: Request) -> Response:
        """Return associations, the newest first: from ``pos`` on, between ``low`` and ``high``."""
        query = request.query_params
        low, high = (read_number(query, name, most) for name, most in (("low", 0), ("high", 2**33)))
        position = read_number(query, "pos", 0, most=_MOST_RANGE)
        limit = read_number(query, "limit", 50, most=_MOST_RANGE)
        rows = await self._fetch(request, RANGE, *_from(request), low, high, position, limit)
        return json_answer(request, {"assocs": _assocs(rows)})

    async def count(self, request: Request) -> Response:
        """Return the number of associations."""
        rows = await self._fetch(request, COUNT, *_from(request))
        return json_answer(request, {"count": rows[0]["count"]})

    async def ranges(self, request: Request) -> Response:
        """Return the newest far ends of one kind for many at once."""
        asked = await read_json(request, _Ranges)
        _check_ids(asked.from_ids)
        limit = min(max(asked.limit, 0), _MOST_RANGE)
        rows = await self._fetch(request, RANGES, _kind(asked.kind), asked.from_ids, limit)
        ids: dict[str, list[int]] = {}
        for row in rows:
            ids.setdefault(str(row["from_id"]), []).append(row["to_id"])
        return json_answer(request, {"ids": ids})

    async def objects(self, request: Request) -> Response:
        """Return objects in the order asked for; what is unknown is left out."""
        ids = (await read_json(request, _Ids)).ids
        _check_ids(ids)
        rows = await self._fetch(request, OBJECTS, ids)
        found = {row["object_id"]: _object(row) for row in rows}
        return json_answer(request, {"objects": [found[each] for each in ids if each in found]})

    async def show_object(self, request: Request) -> Response:
        """Return one object."""
        object_id = read_number(request.path_params, "object_id")
        rows = await self._fetch(request, OBJECTS, [object_id])
        if not rows:
            raise _unknown(object_id)
        return json_answer(request, _object(rows[0]))

    async def add_object(self, request: Request) -> Response:
        """Make an object on its owner's shard."""
        sent = await read_json(request, _Object)
        object_id = self._ids.next(shard=shard_of(sent.owner_id))
        await self._fetch(request, ADD_OBJECT, object_id, sent.type, _data(sent.data))
        return json_answer(request, {"id": object_id, "version": 1}, 201)

    async def change_object(self, request: Request) -> Response:
        """Replace an object's data if its version is the one seen: 200, or 409."""
        object_id = read_number(request.path_params, "object_id")
        sent = await read_json(request, _Change)
        arguments = (object_id, sent.version, _data(sent.data))
        rows = await self._fetch(request, CHANGE_OBJECT, *arguments, idempotent=False)
        if rows:
            return json_answer(request, {"id": object_id, "version": rows[0]["version"]})
        if not await self._fetch(request, OBJECTS, [object_id]):
            raise _unknown(object_id)
        raise ServiceError(409, "stale", f"version is {sent.version}: the object has changed since")

    async def delete_object(self, request: Request) -> Response:
        """Delete an object; a second time changes nothing."""
        object_id = read_number(request.path_params, "object_id")
        rows = await self._fetch(request, DELETE_OBJECT, object_id)
        return json_answer(request, {"changed": bool(rows)})

    async def add_photo(self, request: Request) -> Response:
        """Make a photo and list it under its author, once for one key."""
        sent = await read_json(request, _Photo)
        data = msgspec.json.encode(
            {"author_id": sent.author_id, "image": sent.image, "caption": sent.caption}
        )
        new_id = self._ids.next(shard=shard_of(sent.author_id))
        rows = await self._fetch(
            request, ADD_PHOTO, new_id, sent.author_id, data.decode(), sent.idempotency_key, data
        )
        outcome, photo_id = rows[0]["outcome"], rows[0]["photo_id"]
        if outcome == "unknown":
            raise _unknown(sent.author_id)
        if outcome == "reused":
            detail = "another photo was sent under this Idempotency-Key"
            raise ServiceError(422, "key_reused", detail)
        return json_answer(request, {"id": photo_id}, 201 if outcome == "done" else 200)

    async def like_photo(self, request: Request) -> Response:
        """Like a photo or take it back; a second time changes nothing."""
        photo_id = read_number(request.path_params, "photo_id")
        user_id = read_number(request.path_params, "user_id")
        statement = LIKE_PHOTO if request.method == "POST" else UNLIKE_PHOTO
        outcome = (await self._fetch(request, statement, user_id, photo_id))[0]["outcome"]
        if outcome == "unknown":
            raise _unknown(photo_id)
        return json_answer(request, {"changed": outcome == "done"})

    async def _fetch(
        self, request: Request, query: str, *arguments: object, idempotent: bool = True
    ) -> list[Row]:
        deadline = exchange_of(request).deadline
        return await self._postgres.fetch(
            query, *arguments, deadline=deadline, idempotent=idempotent
        )


def _from(request: Request) -> tuple[int, int]:
    return _kind(request.path_params["kind"]), read_number(request.path_params, "from_id")


def _kind(name: str) -> int:
    if name not in KINDS:
        raise ServiceError(404, "unknown_kind", f"kind is {name!r} (accepted: {', '.join(KINDS)})")
    return KINDS[name]


def _check_ids(ids: Sequence[int]) -> None:
    if len(ids) > _MOST_IDS:
        raise ServiceError(400, "bad_request", f"{len(ids)} ids (accepted: at most {_MOST_IDS})")


def _data(data: dict[str, msgspec.Raw]) -> str:
    text = msgspec.json.encode(data).decode()
    if len(text) > _LONGEST_DATA:
        detail = f"data has {len(text)} characters (accepted: up to {_LONGEST_DATA})"
        raise ServiceError(413, "too_large", detail)
    return text


def _object(row: Row) -> dict[str, object]:
    data = msgspec.Raw(row["data"].encode())
    return {"id": row["object_id"], "type": row["type"], "data": data, "version": row["version"]}


def _assocs(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [{"id": row["to_id"], "created_at": row["created_at"]} for row in rows]


def _unknown(identifier: int) -> ServiceError:
    return ServiceError(404, "unknown", f"no user or object {identifier}")
