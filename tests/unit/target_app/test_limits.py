"""Throttles: by user, never by a shared address; generous to people, tight for machines."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import limits.aio.storage.memory
import pytest
from starlette.requests import Request

from target_app.gateway.limits import COSTS, Limits
from target_app.serving import ServiceError

CAMPUS = "203.0.113.7"


class HandClock:
    """A clock that tests move; the limits' storage reads it too."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


class Host:
    def __init__(self, clock: HandClock, *defects: str) -> None:
        self.clock = clock
        self._defects = defects

    def has_defect(self, name: str) -> bool:
        return name in self._defects


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[HandClock]:
    clock = HandClock()
    monkeypatch.setattr(limits.aio.storage.memory, "time", clock)
    return clock


def request(address: str = CAMPUS) -> Request:
    headers = [(b"x-forwarded-for", f"198.51.100.1, {address}".encode())]
    return Request({"type": "http", "method": "POST", "headers": headers})


async def passed(throttle: Limits, action: str, user_id: int, times: int) -> int:
    """Return how many of so many actions get through."""
    count = 0
    for _ in range(times):
        with contextlib.suppress(ServiceError):
            await throttle.take(request(), action, user_id)
            count += 1
    return count


def test_an_upload_costs_twenty_tokens_and_a_post_five(clock: HandClock) -> None:
    async def run() -> None:
        throttle = Limits(Host(clock))
        assert await passed(throttle, "upload", 1, 40) == 30
        assert await passed(throttle, "post", 2, 200) == 120
        assert await passed(throttle, "follow", 3, 300) == 200

    asyncio.run(run())
    assert set(COSTS) == {"upload", "post", "reply", "repost", "follow"}


def test_a_refusal_says_when_to_come_back_and_what_the_limit_is(clock: HandClock) -> None:
    async def run() -> ServiceError:
        throttle = Limits(Host(clock))
        await passed(throttle, "post", 1, 119)
        clock.now += 20
        with pytest.raises(ServiceError) as caught:
            await throttle.take(request(), "upload", 1)
        # What was refused took nothing: a post still fits.
        await throttle.take(request(), "post", 1)
        clock.now += 40.1
        await throttle.take(request(), "upload", 1)
        return caught.value

    refusal = asyncio.run(run())
    assert (refusal.status, refusal.error) == (429, "too_many")
    assert refusal.headers == {
        "Retry-After": "40",
        "RateLimit": '"user";r=5;t=40',
        "RateLimit-Policy": '"user";q=600;w=60',
    }


@pytest.mark.parametrize(
    ("defects", "expected"),
    [
        pytest.param((), 50, id="healthy"),
        pytest.param(("limiter_false_positive",), 0, id="keyed by address"),
    ],
)
def test_ordinary_users_are_not_refused_for_a_bot_on_their_address(
    clock: HandClock, defects: tuple[str, ...], expected: int
) -> None:
    async def run() -> int:
        throttle = Limits(Host(clock, *defects))
        assert await passed(throttle, "post", 666, 500) == 120
        return sum([await passed(throttle, "post", user, 1) for user in range(1, 51)])

    assert asyncio.run(run()) == expected


def test_ten_wrong_passwords_close_the_door_for_that_address_only(clock: HandClock) -> None:
    async def run() -> None:
        throttle = Limits(Host(clock))
        for _ in range(10):
            await throttle.check_password(request(), "owner")
            await throttle.note_wrong_password(request(), "owner")
        with pytest.raises(ServiceError) as caught:
            await throttle.check_password(request(), "owner")
        assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "60")
        await throttle.check_password(request("192.0.2.1"), "owner")
        await throttle.check_password(request(), "neighbour")
        clock.now += 61
        await throttle.check_password(request(), "owner")

    asyncio.run(run())


def test_right_passwords_are_free(clock: HandClock) -> None:
    async def run() -> None:
        throttle = Limits(Host(clock))
        for _ in range(1000):
            await throttle.check_password(request(), "owner")

    asyncio.run(run())


def test_all_sign_ups_together_have_a_limit_a_second(clock: HandClock) -> None:
    async def run() -> None:
        throttle = Limits(Host(clock))
        for _ in range(100):
            await throttle.take_sign_up()
        with pytest.raises(ServiceError) as caught:
            await throttle.take_sign_up()
        assert caught.value.headers["Retry-After"] == "1"
        clock.now += 1.1
        await throttle.take_sign_up()

    asyncio.run(run())
