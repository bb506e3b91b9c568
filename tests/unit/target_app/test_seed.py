"""The seeded network: the same for the same seed, and of the right shape."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest

from target_app.ids import created_at_s, shard_of
from target_app.seed import Network, draw_network


@pytest.fixture(scope="module")
def network() -> Network:
    return draw_network(1, users=10_000, posts=30_000)


def test_the_same_seed_draws_the_same_network_and_another_another() -> None:
    first = draw_network(3, users=300, posts=500)
    assert draw_network(3, users=300, posts=500) == first
    assert draw_network(4, users=300, posts=500).follows != first.follows


def test_the_number_of_follows_is_that_of_the_design(network: Network) -> None:
    assert len(network.follows) == pytest.approx(297_000, rel=0.03)


def test_nobody_follows_themselves_or_anybody_twice(network: Network) -> None:
    assert all(follower != followed for follower, followed in network.follows)
    assert len(set(network.follows)) == len(network.follows)


def test_people_follow_as_many_as_a_lognormal_says(network: Network) -> None:
    following = sorted(Counter(follower for follower, _ in network.follows).values())
    # The median of lognormal(3, 1) is e^3; who is drawn twice is followed once, so a bit less.
    assert following[len(following) // 2] == pytest.approx(math.exp(3), rel=0.1)
    assert following[-1] <= 400


def test_one_celebrity_is_followed_by_most_and_the_median_user_by_few(network: Network) -> None:
    followers = sorted(Counter(followed for _, followed in network.follows).values(), reverse=True)
    assert followers[0] > 5_000
    assert 5 <= sum(count >= 1_000 for count in followers) <= 30
    assert 10 <= followers[5_000] <= 20
    assert 0.2 <= sum(followers[:100]) / len(network.follows) <= 0.3


def test_the_tail_of_the_followers_has_the_published_exponent(network: Network) -> None:
    """Hill's estimator over the top 2 %: 1 + n / sum(log(x_i / x_min)) for the n values x_i."""
    followers = sorted(Counter(followed for _, followed in network.follows).values(), reverse=True)
    # The very first ranks are flattened: nobody can follow them twice.
    tail = followers[5:200]
    exponent = 1 + len(tail) / sum(math.log(each / tail[-1]) for each in tail)
    assert exponent == pytest.approx(2.276, abs=0.3)


def test_posts_have_rising_unique_ids_on_the_shard_of_their_author(network: Network) -> None:
    ids = [post.post_id for post in network.posts]
    assert len(ids) == 30_000
    assert all(earlier < later for earlier, later in itertools.pairwise(ids))
    assert all(shard_of(post.post_id) == shard_of(post.author_id) for post in network.posts)


def test_replies_answer_an_earlier_post_that_is_no_reply(network: Network) -> None:
    first_posts = {post.post_id for post in network.posts if post.parent_id is None}
    replies = [post for post in network.posts if post.parent_id is not None]
    assert len(replies) == pytest.approx(3_000, rel=0.1)
    assert all(post.parent_id in first_posts and post.parent_id < post.post_id for post in replies)


def test_seeded_posts_lie_in_the_past_of_any_rehearsal(network: Network) -> None:
    # 2026-06-01 and 2026-06-06, midnight UTC.
    times = [created_at_s(post.post_id) for post in network.posts]
    assert 1_780_272_000 <= times[0] <= times[-1] < 1_780_704_000


def test_some_people_are_only_in_photos_and_one_of_them_is_awaited_by_a_tenth_of_all(
    network: Network,
) -> None:
    assert len(network.photos_only) == 200
    assert not set(network.photos_only) & set(network.user_ids)
    assert len(set(network.photo_follows)) == len(network.photo_follows)
    assert {follower for follower, _ in network.photo_follows} == set(network.photos_only)
    assert all(follower != followed for follower, followed in network.photo_follows)
    assert {awaited for _, awaited in network.awaited} == {network.photos_only[0]}
    assert len(network.awaited) == 1_000
