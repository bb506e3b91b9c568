from __future__ import annotations

import asyncio
from typing import cast

import pytest

from surgeproof.errors import UsageError
from surgeproof.load.http import Origin, TransportError
from surgeproof.load.http.connection import Connection
from surgeproof.load.http.pool import Pool
from surgeproof.load.http.wire import encode_request

ORIGIN = Origin.parse("http://localhost:8080/base/")


@pytest.mark.parametrize(
    ("url", "authority", "prefix", "is_tls"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", "", False),
        ("http://example.test", "example.test", "", False),
        ("https://example.test/api/", "example.test", "/api", True),
        ("https://example.test:8443", "example.test:8443", "", True),
        ("http://[::1]:80/", "[::1]", "", False),
    ],
)
def test_a_base_url_is_taken_apart(url: str, authority: str, prefix: str, is_tls: bool) -> None:
    origin = Origin.parse(url)
    assert (origin.authority, origin.prefix, origin.is_tls) == (authority, prefix, is_tls)


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8080", "ftp://x", "http://", "http://x:port", "http://x/?a=1", "http://u@x"],
)
def test_a_base_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="base url"):
        Origin.parse(url)


def test_a_request_is_put_together_byte_by_byte() -> None:
    data = encode_request(ORIGIN, "POST", "/v1?x=1", {"X-A": "b c"}, b"{}")
    assert data == (
        b"POST /base/v1?x=1 HTTP/1.1\r\nHost: localhost:8080\r\nX-A: b c\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )


def test_a_get_without_a_body_has_no_length_and_a_post_always_has_one() -> None:
    assert b"Content-Length" not in encode_request(ORIGIN, "GET", "/", {}, b"")
    assert b"Content-Length: 0\r\n" in encode_request(ORIGIN, "POST", "/", {}, b"")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("get", "/", {}),
        ("GET", "nowhere", {}),
        ("GET", "/a b", {}),
        ("GET", "/\r\nX: y", {}),
        ("GET", "/ü", {}),
        ("GET", "/", {"X": "a\r\nY: b"}),
        ("GET", "/", {"X Y": "a"}),
        ("GET", "/", {"X": "\u20ac"}),
    ],
    ids=[
        "method in small letters",
        "path without slash",
        "path with a space",
        "path with a line break",
        "path not encoded",
        "value with a line break",
        "name with a space",
        "value beyond latin-1",
    ],
)
def test_what_could_smuggle_a_second_request_is_refused(
    method: str, path: str, headers: dict[str, str]
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the encoder's own error is one of them
        encode_request(ORIGIN, method, path, headers, b"")


class CountingPool(Pool):
    """A pool whose dialling makes connections of memory."""

    dialled = 0

    async def _dial(self, timeout_s: float) -> Connection:
        self.dialled += 1
        connection = Connection(asyncio.get_running_loop(), self._forget)
        connection.is_open = True
        return connection


def make_pool(size: int) -> CountingPool:
    return CountingPool(ORIGIN, asyncio.get_running_loop(), size, None)


def test_the_connection_used_last_is_used_next() -> None:
    async def check() -> None:
        pool = make_pool(2)
        one, two = await pool.connection(1), await pool.connection(1)
        pool.keep(one)
        pool.keep(two)
        assert await pool.connection(1) is two
        assert pool.dialled == 2

    asyncio.run(check())


def test_a_connection_that_ended_while_idle_is_not_used() -> None:
    async def check() -> None:
        pool = make_pool(2)
        one = await pool.connection(1)
        pool.keep(one)
        one.connection_lost(None)
        assert await pool.connection(1) is not one

    asyncio.run(check())


def test_beyond_the_bound_requests_queue_first_come_first_served() -> None:
    async def check() -> None:
        pool = make_pool(1)
        await pool.take_place(1)
        served: list[int] = []

        async def wait(number: int) -> None:
            await pool.take_place(60)
            served.append(number)
            pool.give_place()

        tasks = [asyncio.ensure_future(wait(number)) for number in range(3)]
        await asyncio.sleep(0)
        assert pool.queued == 3
        pool.give_place()
        await asyncio.gather(*tasks)
        assert served == [0, 1, 2]
        assert pool.queued == 0

    asyncio.run(check())


def test_waiting_in_the_queue_ends_with_the_deadline_and_loses_no_place() -> None:
    async def check() -> None:
        pool = make_pool(1)
        await pool.take_place(1)
        with pytest.raises(TransportError) as caught:
            await pool.take_place(0.0)
        assert caught.value.kind == "queue_timeout"
        pool.give_place()
        await pool.take_place(1)

    asyncio.run(check())


def test_a_cancelled_wait_hands_its_place_on() -> None:
    async def check() -> None:
        pool = make_pool(1)
        await pool.take_place(1)
        waiting = asyncio.ensure_future(pool.take_place(60))
        await asyncio.sleep(0)
        pool.give_place()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await pool.take_place(0.0)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(), "refused"),
        (ConnectionResetError(), "reset"),
        (OSError(24, "too many open files"), "descriptors"),
        (OSError(101, "network is unreachable"), "unreachable"),
        (TimeoutError(), "connect_timeout"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_a_failed_dial_has_its_own_error_kind(error: OSError, kind: str) -> None:
    class FailingLoop:
        async def create_connection(self, *_args: object, **_options: object) -> None:
            raise error

    async def check() -> None:
        pool = Pool(ORIGIN, cast("asyncio.AbstractEventLoop", FailingLoop()), 1, None)
        with pytest.raises(TransportError) as caught:
            await pool.connection(1)
        assert caught.value.kind == kind
        assert caught.value.kind in TransportError.KINDS

    asyncio.run(check())
