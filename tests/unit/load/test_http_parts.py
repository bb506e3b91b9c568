from __future__ import annotations

import asyncio
from math import isnan, nan
from typing import Any, cast

import pytest

from surgeproof.errors import UsageError
from surgeproof.load.http import Origin, TransportError
from surgeproof.load.http.connection import Connection
from surgeproof.load.http.pool import Pool
from surgeproof.load.http.wire import RequestEncoder

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


def encoder(**common: str) -> RequestEncoder:
    return RequestEncoder(ORIGIN, common)


def test_a_request_is_put_together_byte_by_byte() -> None:
    data = encoder().encode("POST", "/v1?x=1", {"X-A": "b c"}, b"{}", "application/json")
    assert data == (
        b"POST /base/v1?x=1 HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: surgeproof\r\n"
        b"Accept: */*\r\nContent-Type: application/json\r\nX-A: b c\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )


def test_a_get_without_a_body_has_no_length_and_a_post_always_has_one() -> None:
    assert b"Content-Length" not in encoder().encode("GET", "/")
    assert b"Content-Length: 0\r\n" in encoder().encode("POST", "/")


def test_a_header_given_anew_is_not_the_one_that_was_kept() -> None:
    one = encoder()
    first = one.encode("GET", "/", {"Authorization": "a"})
    assert b"Authorization: b\r\n" in one.encode("GET", "/", {"Authorization": "b"})
    assert one.encode("GET", "/", {"Authorization": "a"}) == first


def test_the_host_header_can_be_replaced_and_comes_first() -> None:
    lines = encoder(Host="other").encode("GET", "/").split(b"\r\n")
    assert lines[1] == b"Host: other"
    assert sum(line.lower().startswith(b"host:") for line in lines) == 1


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
        encoder().encode(method, path, headers)


class Wish:
    """A job that notes what it was given."""

    def __init__(self, deadline: float = 60.0) -> None:
        self.start, self.deadline, self.connect_s = nan, deadline, 5.0
        self.is_over = False
        self.connection: Connection | None = None
        self.failure = ""

    def begin(self, connection: Connection) -> None:
        self.connection, self.is_over = connection, True

    def failed(self, connection: Connection | None, kind: str, detail: str) -> None:
        self.failure, self.is_over = kind, True


class MemoryLoop:
    """Dials connections of memory: in order, one step of the real loop each."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.dialled = 0

    def create_task(self, coroutine: Any) -> Any:
        return asyncio.get_running_loop().create_task(coroutine)

    async def getaddrinfo(self, *_args: object, **_options: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("127.0.0.1", 8080))]

    async def create_connection(self, make: Any, *_args: object, **_options: object) -> Any:
        self.dialled += 1
        if self.error is not None:
            raise self.error
        connection = make()
        connection.is_open = True
        return None, connection


class Bench:
    def __init__(self, size: int, error: Exception | None = None) -> None:
        self.loop = MemoryLoop(error)
        self.pool = Pool(ORIGIN, cast("asyncio.AbstractEventLoop", self.loop), size, None, self.now)
        self.moment = 0.0

    def now(self) -> float:
        return self.moment

    async def ask(self, deadline: float = 60.0) -> Wish:
        wish = Wish(deadline)
        self.pool.submit(wish)
        for _ in range(20):
            await asyncio.sleep(0)
        return wish


def test_the_connection_used_last_is_used_next() -> None:
    async def check() -> None:
        bench = Bench(2)
        one, two = await bench.ask(), await bench.ask()
        assert one.connection is not None
        assert two.connection is not None
        bench.pool.release(one.connection)
        bench.pool.release(two.connection)
        assert (await bench.ask()).connection is two.connection
        assert bench.loop.dialled == 2

    asyncio.run(check())


def test_a_connection_that_ended_while_idle_is_not_used() -> None:
    async def check() -> None:
        bench = Bench(2)
        one = (await bench.ask()).connection
        assert one is not None
        bench.pool.release(one)
        one.connection_lost(None)
        assert (await bench.ask()).connection is not one

    asyncio.run(check())


def test_beyond_the_bound_requests_queue_first_come_first_served() -> None:
    async def check() -> None:
        bench = Bench(1)
        first = await bench.ask()
        queued = [await bench.ask() for _ in range(3)]
        assert (len(bench.pool.waiting), bench.pool.waited, bench.loop.dialled) == (3, 3, 1)
        connection = first.connection
        assert connection is not None
        for number in range(3):
            bench.moment = float(number)
            bench.pool.release(connection)
            assert [wish.connection is connection for wish in queued] == [
                place <= number for place in range(3)
            ]
            assert queued[number].start == number
        assert not bench.pool.waiting

    asyncio.run(check())


def test_waiting_in_the_queue_ends_with_the_deadline_and_loses_no_place() -> None:
    async def check() -> None:
        bench = Bench(1)
        first = await bench.ask()
        late = await bench.ask(deadline=1.0)
        bench.pool.expire(0.9)
        assert not late.is_over
        bench.pool.expire(1.0)
        assert (late.failure, isnan(late.start)) == ("queue_timeout", True)
        assert first.connection is not None
        bench.pool.release(first.connection)
        assert (await bench.ask()).connection is first.connection

    asyncio.run(check())


def test_a_job_that_no_longer_waits_is_passed_over() -> None:
    async def check() -> None:
        bench = Bench(1)
        first = await bench.ask()
        gone, next_one = await bench.ask(), await bench.ask()
        gone.is_over = True
        assert first.connection is not None
        bench.pool.release(first.connection)
        assert gone.connection is None
        assert next_one.connection is first.connection

    asyncio.run(check())


def test_a_connection_that_broke_is_dialled_anew_for_the_next_in_the_queue() -> None:
    async def check() -> None:
        bench = Bench(1)
        first, second = await bench.ask(), await bench.ask()
        assert first.connection is not None
        first.connection.is_open = False
        bench.pool.release(first.connection)
        for _ in range(20):
            await asyncio.sleep(0)
        assert second.connection is not None
        assert second.connection is not first.connection

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
    async def check() -> None:
        bench = Bench(1, error)
        first = await bench.ask()
        assert first.failure == kind
        assert kind in TransportError.KINDS
        # Its place is free again.
        assert (await bench.ask()).failure == kind

    asyncio.run(check())
