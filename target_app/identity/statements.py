"""The SQL of the identity process: each constant is one round trip."""

from __future__ import annotations

__all__ = [
    "ADD",
    "ALL",
    "ANNOUNCE_KEY",
    "BY_HANDLE",
    "BY_ID",
    "BY_IDS",
    "CHANGE",
    "DELETE",
    "JOIN",
    "KEYS",
    "REVOKED",
]

_PUBLIC = "user_id, handle, display_name, bio, avatar, is_private, apps, version"
_SECRET = "password_salt, password_hash, password_log2_n"  # noqa: S105  # names of columns
_FROM = "FROM accounts WHERE deleted_at IS NULL"

BY_HANDLE = f"SELECT {_PUBLIC}, {_SECRET} {_FROM} AND handle = $1"
BY_ID = f"SELECT {_PUBLIC} {_FROM} AND user_id = $1"
BY_IDS = f"SELECT {_PUBLIC} {_FROM} AND user_id = ANY($1::bigint[])"
ADD = "SELECT add_account($1, $2, $3, $4, $5, $6::smallint, $7) AS done"
JOIN = "SELECT join_threads($1, $2, $3) AS done"
CHANGE = "SELECT change_account($1, $2, $3, $4, $5, $6, $7) AS outcome"
DELETE = "SELECT delete_account($1) AS done"

KEYS = """
SELECT number, extract(epoch FROM announced_at)::float8 AS announced_s
FROM signing_keys ORDER BY number
"""
# Who deleted the account so lately that a token of it may not have expired yet ($1 seconds).
REVOKED = "SELECT user_id FROM accounts WHERE deleted_at > now() - make_interval(secs => $1)"
# The key's number is what the caller saw last plus one: of two rotations at once, one happens.
ANNOUNCE_KEY = "INSERT INTO signing_keys (number) VALUES ($1) ON CONFLICT DO NOTHING"

ALL = (BY_HANDLE, BY_ID, BY_IDS, ADD, JOIN, CHANGE, DELETE, KEYS, REVOKED, ANNOUNCE_KEY)
