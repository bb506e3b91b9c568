"""The SQL of the graph process: each constant is one round trip."""

# ruff: noqa: S608 - put together from constants of this file alone

from __future__ import annotations

__all__ = ["ALL"]

_COLUMNS = """p.post_id, p.author_id, a.handle, a.is_private, p.text, p.reply_to, p.repost_of,
       p.media, p.state, p.likes, p.replies, p.reposts"""
_POST = f"""
SELECT {_COLUMNS}
FROM posts p JOIN accounts a ON a.user_id = p.author_id AND a.deleted_at IS NULL
"""
POSTS = f"{_POST} WHERE p.post_id = ANY($1::bigint[]) AND p.state < 3"
REPLIES = f"{_POST} WHERE p.reply_to = $1 AND p.state < 3 ORDER BY p.post_id LIMIT $2"
USER_POSTS = f"""{_POST}
WHERE p.author_id = $1 AND p.post_id < $2 AND p.state < 3 ORDER BY p.post_id DESC LIMIT $3
"""

# Pull mode: the newest posts of the viewer, of the 50 followed last, and of all followed
# celebrities ($3 followers or more), before $4. As many of each author as the page is long ($2):
# fewer would leave gaps when paging on.
RECENT = f"""
WITH followed AS MATERIALIZED (
    SELECT f.to_id, f.created_at, c.followers
    FROM assocs f JOIN user_counts c ON c.user_id = f.to_id
    WHERE f.kind = 1 AND f.from_id = $1
), authors AS MATERIALIZED (
    (SELECT to_id FROM followed ORDER BY created_at DESC, to_id LIMIT 50)
    UNION SELECT to_id FROM followed WHERE followers >= $3
    UNION SELECT $1
), newest AS MATERIALIZED (
    SELECT p.* FROM authors CROSS JOIN LATERAL (
        SELECT * FROM posts
        WHERE author_id = authors.to_id AND post_id < $4 AND reply_to IS NULL AND state < 3
        ORDER BY post_id DESC LIMIT $2
    ) p ORDER BY p.post_id DESC LIMIT $2
)
SELECT {_COLUMNS}
FROM newest p JOIN accounts a ON a.user_id = p.author_id AND a.deleted_at IS NULL
ORDER BY p.post_id DESC
"""

CELEBRITIES = """
SELECT f.to_id FROM assocs f JOIN user_counts c ON c.user_id = f.to_id
WHERE f.kind = 1 AND f.from_id = $1 AND c.followers >= $2 ORDER BY f.to_id
"""
# Whom a viewer blocks, is blocked by or mutes, and which private accounts the viewer follows.
TIES = """
SELECT kind, to_id FROM assocs WHERE from_id = $1 AND kind IN (3, 4, 7)
UNION ALL
SELECT f.kind, f.to_id FROM accounts a JOIN assocs f ON f.to_id = a.user_id
WHERE a.is_private AND f.from_id = $1 AND f.kind = 1
"""

ASSOC_RANGE = """
SELECT to_id FROM assocs WHERE kind = $1 AND from_id = $2 AND to_id > $3 ORDER BY to_id LIMIT $4
"""
ASSOC_COUNT = "SELECT count(*) AS count FROM assocs WHERE kind = $1 AND from_id = $2"


_PROFILE = """
SELECT a.user_id, a.handle, a.display_name, a.bio, a.avatar, a.is_private, a.version,
       c.followers, c.following, c.posts
FROM accounts a JOIN user_counts c USING (user_id)
"""
_IN_THREADS = "a.deleted_at IS NULL AND a.apps & 2 <> 0"
PROFILE = f"{_PROFILE} WHERE a.user_id = $1 AND {_IN_THREADS}"
PROFILE_BY_HANDLE = f"{_PROFILE} WHERE a.handle = $1 AND {_IN_THREADS}"
SEARCH = f"""{_PROFILE}
WHERE a.handle LIKE $1 AND {_IN_THREADS} ORDER BY c.followers DESC, a.handle LIMIT $2
"""

ADD_FOLLOW = "SELECT add_follow($1, $2, $3, $4) AS outcome"
REMOVE_FOLLOW = "SELECT remove_follow($1, $2, $3, $4) AS outcome"
ANSWER_REQUEST = "SELECT answer_request($1, $2, $3, $4) AS outcome"
ADD_BLOCK = "SELECT add_block($1, $2) AS outcome"
REMOVE_BLOCK = "SELECT remove_block($1, $2) AS outcome"
SET_MUTE = "SELECT set_mute($1, $2, $3) AS outcome"
ADD_LIKE = "SELECT add_like($1, $2) AS outcome"
REMOVE_LIKE = "SELECT remove_like($1, $2) AS outcome"
FOLLOW_JOINED = "SELECT follow_those_who_joined($1, $2) AS done"
IMPORT_FOLLOWS = "SELECT import_follows($1, $2, $3) AS last"
FORGET_USER = "SELECT forget_user($1)"
CREATE_POST = """
SELECT c.outcome, c.post_id, a.handle, a.is_private
FROM create_post($1, $2, $3, $4, $5, $6, $7, $8, $9) c
LEFT JOIN accounts a ON a.user_id = $2
"""
DELETE_POST = "SELECT delete_post($1, $2) AS outcome"
REVIEW_POST = "SELECT review_post($1, $2) AS outcome"

# The most frequent first: connections prepare them in this order. The rest is prepared when used.
ALL = (
    POSTS,
    TIES,
    CREATE_POST,
    ADD_LIKE,
    CELEBRITIES,
    RECENT,
    REPLIES,
    USER_POSTS,
    PROFILE,
    PROFILE_BY_HANDLE,
    ADD_FOLLOW,
    REMOVE_FOLLOW,
    ADD_BLOCK,
    REMOVE_BLOCK,
    REMOVE_LIKE,
    ASSOC_RANGE,
    ASSOC_COUNT,
)
