"""The SQL of the graph process: each constant is one round trip."""

from __future__ import annotations

__all__ = [
    "ADD_BLOCK",
    "ADD_FOLLOW",
    "ADD_LIKE",
    "ALL",
    "ASSOC_COUNT",
    "ASSOC_RANGE",
    "BLOCKS",
    "CELEBRITIES",
    "CREATE_POST",
    "POSTS",
    "PROFILE",
    "PROFILE_BY_HANDLE",
    "RECENT",
    "REMOVE_BLOCK",
    "REMOVE_FOLLOW",
    "REMOVE_LIKE",
    "REPLIES",
    "USER_POSTS",
]

_POST = """
SELECT p.post_id, p.author_id, a.handle, p.text, p.reply_to, p.likes, p.replies
FROM posts p JOIN accounts a ON a.user_id = p.author_id
"""
POSTS = f"{_POST} WHERE p.post_id = ANY($1::bigint[])"
REPLIES = f"{_POST} WHERE p.reply_to = $1 ORDER BY p.post_id LIMIT $2"
USER_POSTS = f"{_POST} WHERE p.author_id = $1 AND p.post_id < $2 ORDER BY p.post_id DESC LIMIT $3"

# Pull mode: the newest posts of the viewer, of the 50 followed last, and of all followed
# celebrities ($3 followers or more). Ten posts of one author are enough for a page.
RECENT = """
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
        WHERE author_id = authors.to_id AND post_id < $4 AND reply_to IS NULL
        ORDER BY post_id DESC LIMIT 10
    ) p ORDER BY p.post_id DESC LIMIT $2
)
SELECT p.post_id, p.author_id, a.handle, p.text, p.reply_to, p.likes, p.replies
FROM newest p JOIN accounts a ON a.user_id = p.author_id ORDER BY p.post_id DESC
"""

CELEBRITIES = """
SELECT f.to_id FROM assocs f JOIN user_counts c ON c.user_id = f.to_id
WHERE f.kind = 1 AND f.from_id = $1 AND c.followers >= $2 ORDER BY f.to_id
"""
BLOCKS = "SELECT to_id FROM assocs WHERE kind IN (3, 4) AND from_id = $1"
ASSOC_RANGE = """
SELECT to_id FROM assocs WHERE kind = $1 AND from_id = $2 AND to_id > $3 ORDER BY to_id LIMIT $4
"""
ASSOC_COUNT = "SELECT count(*) AS count FROM assocs WHERE kind = $1 AND from_id = $2"

_PROFILE = """
SELECT a.user_id, a.handle, a.display_name, c.followers, c.following, c.posts
FROM accounts a JOIN user_counts c USING (user_id)
"""
PROFILE = f"{_PROFILE} WHERE a.user_id = $1"
PROFILE_BY_HANDLE = f"{_PROFILE} WHERE a.handle = $1"

ADD_FOLLOW = "SELECT add_follow($1, $2) AS outcome"
REMOVE_FOLLOW = "SELECT remove_follow($1, $2) AS outcome"
ADD_BLOCK = "SELECT add_block($1, $2) AS outcome"
REMOVE_BLOCK = "SELECT remove_block($1, $2) AS outcome"
ADD_LIKE = "SELECT add_like($1, $2) AS outcome"
REMOVE_LIKE = "SELECT remove_like($1, $2) AS outcome"
CREATE_POST = """
SELECT c.outcome, c.post_id, a.handle
FROM create_post($1, $2, $3, $4, $5) c LEFT JOIN accounts a ON a.user_id = $2
"""

# The most frequent first: connections prepare them in this order.
ALL = (
    POSTS,
    BLOCKS,
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
