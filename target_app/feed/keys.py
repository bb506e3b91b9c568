"""What lies where in the timeline Redis: shared by the feed, which reads, and the worker.

``timeline:U``     sorted set of the newest ``TIMELINE_CAP`` post ids, score = id, which sorts by
                   time. The member ``BUILT`` (score +inf, so never trimmed) says that the
                   history is in; without it only posts since the first read are.
``celebrities:U``  msgpack ``Ties``: whom U follows that matters when reading; absent = build anew
``affinity:U``     hash: author id to the number of U's likes of this author's posts
``announced``      hash: celebrity to the id of the last post, which nobody pushes
``gone``           sorted set of what must not be shown from memory any more, score = since when
``fanout``         msgpack ``FanoutStatus``, written by the worker about twice a second
``trending``       JSON ``TrendingList``, written by the worker every second
"""

from __future__ import annotations

import msgspec

__all__ = [
    "ANNOUNCED_KEY",
    "BUILDING",
    "BUILD_SCRIPT",
    "BUILT",
    "FANOUT_KEY",
    "GONE_KEEP_S",
    "GONE_KEY",
    "KEEP_S",
    "LAG_LIMIT_S",
    "PUSH_SCRIPT",
    "TIMELINE_CAP",
    "TRENDING_KEY",
    "FanoutStatus",
    "Ties",
    "TrendingList",
    "TrendingTag",
    "affinity_key",
    "celebrities_key",
    "timeline_key",
]

TIMELINE_CAP = 400

# A timeline nobody reads for this long is dropped, and rebuilt when its owner comes back.
KEEP_S = 3600

# Behind by more than this, feeds and trends are marked as stale.
LAG_LIMIT_S = 5.0

BUILT = b"built"
BUILDING = b"building"

ANNOUNCED_KEY = "announced"
GONE_KEY = "gone"
# Longer than any page is shown from memory.
GONE_KEEP_S = 600
FANOUT_KEY = "fanout"
TRENDING_KEY = "trending"

# Add the history to a timeline that is being built, unless it was dropped meanwhile, or somebody
# has begun to build it anew: the score of the mark BUILDING is the builder's token, below zero.
# KEYS: timeline, celebrities; ARGV: building, token, built, cap, seconds to keep, packed ties, ids.
BUILD_SCRIPT = """
local token = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not token or tonumber(token) ~= tonumber(ARGV[2]) then return 0 end
for place = 7, #ARGV do
  redis.call('ZADD', KEYS[1], ARGV[place], ARGV[place])
end
redis.call('ZADD', KEYS[1], '+inf', ARGV[3])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -(tonumber(ARGV[4]) + 2))
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('SET', KEYS[2], ARGV[6], 'EX', ARGV[5])
return 1
"""

# Push one post into every timeline that exists: one whose owner never came is built from the
# graph on first read, so pushing into it would only cost memory. One script call per chunk
# instead of three commands per follower. KEYS: timelines; ARGV: post id, cap.
PUSH_SCRIPT = """
local pushed = 0
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    redis.call('ZADD', key, ARGV[1], ARGV[1])
    redis.call('ZREMRANGEBYRANK', key, 0, -(tonumber(ARGV[2]) + 2))
    pushed = pushed + 1
  end
end
return pushed
"""


class FanoutStatus(msgspec.Struct, array_like=True, frozen=True):
    """When the worker last reported (seconds since the epoch), and how far behind it was."""

    at: float
    lag_s: float


class Ties(msgspec.Struct, array_like=True, frozen=True):
    """Whom a viewer follows that matters when reading, as the graph said at ``at``.

    ``celebrities`` are pulled, ``friends`` are followed in the photos app too. ``is_whole`` says
    that the timeline was built from all that there was: what lies before its end is nothing.
    """

    at: float
    celebrities: list[int]
    friends: list[int]
    is_whole: bool


class TrendingTag(msgspec.Struct, frozen=True):
    """One tag of the list."""

    tag: str
    uses: int
    score: float


class TrendingList(msgspec.Struct, frozen=True):
    """The list, and up to when (seconds since the epoch) it knows what was posted."""

    as_of: float
    tags: list[TrendingTag]


def timeline_key(user_id: int) -> str:
    """Return the key of a user's timeline."""
    return f"timeline:{user_id}"


def celebrities_key(user_id: int) -> str:
    """Return the key of the celebrities that a user follows."""
    return f"celebrities:{user_id}"


def affinity_key(user_id: int) -> str:
    """Return the key of a user's interactions by author."""
    return f"affinity:{user_id}"
