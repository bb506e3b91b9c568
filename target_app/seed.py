"""Fills an empty database with a small but true-to-shape network, the same for the same seed.

Shape: how many accounts a person follows is lognormal(3, 1), at most 400; whom they follow is
drawn with Pareto weights of exponent 2.276, the exponent that Kwak et al. found for Twitter
("What is Twitter, a social network or a news media?", WWW 2010). The weights are the quantiles of
that distribution dealt out at random, so that every seed has one celebrity of the same rank.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import asyncpg

from target_app.identity.passwords import hash_password
from target_app.ids import make_id, shard_of

__all__ = [
    "SEEDED_PASSWORD",
    "Network",
    "Post",
    "draw_network",
    "main",
    "photos_only_handle",
    "seeded_handle",
]

# All seeded accounts share password and salt: one hash instead of thousands, and a load generator
# that needs no list. Accounts made by signing up have a salt of their own.
SEEDED_PASSWORD = "launch-day"  # noqa: S105  # public on purpose
_SALT = b"threads rehearsal"
_LOG2_N = 10

_FOLLOWS_MU, _FOLLOWS_SIGMA, _FOLLOWS_MOST = 3.0, 1.0, 400
_EXPONENT = 2.276
_REPLY_RATIO = 0.1
# People who have not joined threads yet: one for so many who have. Each follows some in photos,
# and the first of them is awaited by one in ten of all.
_JOINED_FOR_ONE, _PHOTO_FOLLOWS, _AWAITED_BY_ONE_IN = 50, 20, 10
# Seeded posts were made in the five days before 2026-06-06, in milliseconds of ids.EPOCH_S.
_DAY_MS = 24 * 3600 * 1000
_FIRST_POST_MS, _LAST_POST_MS = 151 * _DAY_MS, 156 * _DAY_MS
_TAGS = ("launch", "threads", "hello", "coffee", "music", "football", "rain", "news", "art", "cats")
_PHRASES = (
    "today we finally made it",
    "the whole town is awake",
    "who would have thought",
    "that a quiet morning",
    "could turn into this much noise",
    "tell me what you see",
    "from your window",
    "and one more thing",
)


@dataclass(frozen=True, slots=True)
class Post:
    """One seeded post; ``parent_id`` is the post that it replies to."""

    post_id: int
    author_id: int
    parent_id: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Network:
    """Accounts by index (their ids), who follows whom (pairs of indices), and posts by time.

    ``photos_only`` are the ids of those who have not joined threads, ``photo_follows`` whom they
    follow in photos and ``awaited`` who follows whom as soon as they join (pairs of ids).
    """

    user_ids: Sequence[int]
    follows: Sequence[tuple[int, int]]
    posts: Sequence[Post]
    photos_only: Sequence[int] = ()
    photo_follows: Sequence[tuple[int, int]] = ()
    awaited: Sequence[tuple[int, int]] = ()


def seeded_handle(index: int) -> str:
    """Return the handle of the seeded account number ``index``, from 0."""
    return f"u{index:05d}"


def photos_only_handle(index: int) -> str:
    """Return the handle of the seeded account number ``index`` that only photos has."""
    return f"p{index:05d}"


def draw_network(seed: int, *, users: int, posts: int) -> Network:
    """Draw a network; a pure function of its arguments."""
    source = random.Random(seed)
    only = users // _JOINED_FOR_ONE
    made = [make_id(index + 1, shard=index % 16) for index in range(users + only)]
    user_ids, photos_only = made[:users], made[users:]
    return Network(
        user_ids=user_ids,
        follows=list(_draw_follows(source, users)),
        posts=list(_draw_posts(source, user_ids, posts)),
        photos_only=photos_only,
        photo_follows=[
            (follower, followed)
            for follower in photos_only
            for followed in source.sample(made, min(_PHOTO_FOLLOWS, users))
            if followed != follower
        ],
        awaited=[
            (waiting, awaited)
            for awaited in photos_only[:1]
            for waiting in user_ids[::_AWAITED_BY_ONE_IN]
        ],
    )


def _draw_follows(source: random.Random, users: int) -> Iterator[tuple[int, int]]:
    """Yield (follower, followed): for each follower some distinct others.

    A Pareto quantile is ``w(u) = u ** (-1 / (exponent - 1))`` for u from 0 to 1.
    """
    weights = [((rank + 0.5) / users) ** (-1 / (_EXPONENT - 1)) for rank in range(users)]
    source.shuffle(weights)
    cumulative = list(itertools.accumulate(weights))
    everybody = range(users)
    for follower in everybody:
        wanted = min(round(source.lognormvariate(_FOLLOWS_MU, _FOLLOWS_SIGMA)), _FOLLOWS_MOST)
        # Draws with replacement: who is drawn twice is followed once, so a few less than wanted.
        drawn = dict.fromkeys(source.choices(everybody, cum_weights=cumulative, k=wanted))
        drawn.pop(follower, None)
        for followed in drawn:
            yield follower, followed


def _draw_posts(source: random.Random, user_ids: Sequence[int], count: int) -> Iterator[Post]:
    """Yield posts with rising ids; authors differ in how much they write."""
    activity = list(itertools.accumulate(source.lognormvariate(0.0, 1.0) for _ in user_ids))
    authors = source.choices(user_ids, cum_weights=activity, k=count)
    # Distinct milliseconds, so that ids are unique whatever their shard.
    moments = sorted(source.sample(range(_FIRST_POST_MS, _LAST_POST_MS), count))
    made: list[int] = []
    for author_id, moment in zip(authors, moments, strict=True):
        post_id = make_id(moment, shard=shard_of(author_id))
        is_reply = bool(made) and source.random() < _REPLY_RATIO
        # People answer what is new.
        parent_id = made[-source.randint(1, min(len(made), 200))] if is_reply else None
        phrases = source.choices(_PHRASES, k=source.randint(1, 6))
        text = f"{' '.join(phrases)} #{source.choice(_TAGS)}"
        if parent_id is None:
            made.append(post_id)
        yield Post(post_id, author_id, parent_id, text)


class _Connection(Protocol):
    async def fetchval(self, query: str, *args: object) -> object: ...

    async def execute(self, query: str) -> str: ...

    async def copy_records_to_table(
        self, table_name: str, *, columns: Sequence[str], records: Iterable[tuple[object, ...]]
    ) -> str: ...


async def _fill(connection: _Connection, network: Network) -> None:
    await connection.execute("BEGIN")
    for path in sorted(Path(__file__).with_name("schema").glob("*.sql")):
        await connection.execute(path.read_text(encoding="utf-8"))
    for table, columns, records in _records(network):
        await connection.copy_records_to_table(table, columns=columns, records=records)
    await connection.execute("COMMIT")
    await connection.execute("VACUUM (FREEZE, ANALYZE)")


def _records(
    network: Network,
) -> Iterator[tuple[str, tuple[str, ...], Iterable[tuple[object, ...]]]]:
    """Yield table, columns and rows, the rows in the order of the table's primary key."""
    ids = network.user_ids
    hashed = hash_password(SEEDED_PASSWORD, salt=_SALT, log2_n=_LOG2_N)
    secret = (hashed.salt, hashed.digest, hashed.log2_n)
    yield (
        "accounts",
        (
            "user_id",
            "handle",
            "display_name",
            "apps",
            "password_salt",
            "password_hash",
            "password_log2_n",
        ),
        itertools.chain(
            (
                (user_id, seeded_handle(index), f"User {index}", 3, *secret)
                for index, user_id in enumerate(ids)
            ),
            (
                (user_id, photos_only_handle(index), f"Photographer {index}", 1, *secret)
                for index, user_id in enumerate(network.photos_only)
            ),
        ),
    )
    yield "user_counts", ("user_id", "followers", "following", "posts"), _count_rows(network)
    pairs = [(ids[follower], ids[followed]) for follower, followed in network.follows]
    for kind, tied in ((1, pairs), (9, network.awaited), (11, network.photo_follows)):
        inverse = [(other, one) for one, other in tied]
        for number, rows in ((kind, tied), (kind + 1, inverse)):
            yield "assocs", ("kind", "from_id", "to_id"), [(number, *row) for row in sorted(rows)]
    replies: dict[int | None, int] = {}
    for post in network.posts:
        replies[post.parent_id] = replies.get(post.parent_id, 0) + 1
    yield (
        "posts",
        ("post_id", "author_id", "reply_to", "replies", "text"),
        (
            (post.post_id, post.author_id, post.parent_id, replies.get(post.post_id, 0), post.text)
            for post in network.posts
        ),
    )


def _count_rows(network: Network) -> Iterator[tuple[int, int, int, int]]:
    followers = [0] * len(network.user_ids)
    following = [0] * len(network.user_ids)
    posts = dict.fromkeys(network.user_ids, 0)
    for follower, followed in network.follows:
        following[follower] += 1
        followers[followed] += 1
    for post in network.posts:
        posts[post.author_id] += 1
    for index, user_id in enumerate(network.user_ids):
        yield user_id, followers[index], following[index], posts[user_id]
    for user_id in network.photos_only:
        yield user_id, 0, 0, 0


async def _run(url: str, network: Network) -> int:
    connection = await asyncpg.connect(url, timeout=10, ssl=False)
    try:
        if await connection.fetchval("SELECT to_regclass('accounts')::text") is not None:
            print("the database is not empty: it holds a table 'accounts'")
            return 1
        await _fill(connection, network)
    finally:
        await connection.close(timeout=5)
    print(
        f"seeded {len(network.user_ids)} users, {len(network.follows)} follows, "
        f"{len(network.posts)} posts"
    )
    return 0


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Seed the empty database at ``APP_DATABASE_URL`` and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m target_app seed")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--posts", type=int, default=None, help="default: three a user")
    options = parser.parse_args(arguments)
    url = environ.get("APP_DATABASE_URL")
    if not url:
        print("APP_DATABASE_URL is not set (accepted: postgresql://USER@HOST:PORT/DATABASE)")
        return 2
    posts = options.posts if options.posts is not None else 3 * options.users
    network = draw_network(options.seed, users=options.users, posts=posts)
    return asyncio.run(_run(url, network))
