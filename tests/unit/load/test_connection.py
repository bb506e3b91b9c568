"""The connection against bytes: no socket, a transport that only remembers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgeproof.load.http import Attempt, RawResponse, TransportError
from surgeproof.load.http.connection import MAX_HEAD_BYTES, Connection

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-One: 1\r\n\r\n"
    b"5\r\nhello\r\n1;ext=1\r\n \r\n6\r\nworld!\r\n0\r\nTrailer: x\r\n\r\n"
)
SIZED = b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\nX-One: 1\r\n\r\nbody"


class MemoryTransport:
    def __init__(self) -> None:
        self.written = b""
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True


class Wire:
    """A connection with a request on its way, and a clock that counts its readings."""

    def __init__(self, *, is_head: bool = False) -> None:
        self.lost: list[Connection] = []
        self.now = 100.0
        loop = asyncio.get_running_loop()
        self.connection = Connection(loop, self.lost.append, lambda: self.now)
        self.transport = MemoryTransport()
        self.connection.connection_made(cast("asyncio.BaseTransport", self.transport))
        self.attempt = Attempt()
        self.answer = self.ask(is_head=is_head)

    def ask(self, *, is_head: bool = False) -> asyncio.Future[RawResponse]:
        self.attempt = Attempt()
        self.answer = self.connection.send(
            b"GET / HTTP/1.1\r\n\r\n", is_head=is_head, attempt=self.attempt, timeout_s=60
        )
        return self.answer

    def feed(self, data: bytes) -> None:
        self.connection.data_received(data)

    def failure(self) -> str:
        error = self.answer.exception()
        assert isinstance(error, TransportError)
        assert error.kind in TransportError.KINDS
        return error.kind


def run(body: Callable[[], None]) -> None:
    async def main() -> None:
        body()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [(CHUNKED, 200, b"hello world!"), (SIZED, 201, b"body")],
    ids=["chunked", "content length"],
)
def test_an_answer_fed_byte_by_byte_is_whole(data: bytes, status: int, body: bytes) -> None:
    def check() -> None:
        wire = Wire()
        for place in range(len(data)):
            assert not wire.answer.done()
            wire.feed(data[place : place + 1])
        response = wire.answer.result()
        assert (response.status, response.body) == (status, body)
        assert (b"x-one", b"1") in response.headers
        assert response.can_keep_alive
        assert wire.attempt.received_bytes == len(data)

    run(check)


@settings(max_examples=50)
@given(st.lists(st.integers(1, len(CHUNKED) - 1), max_size=6))
def test_where_an_answer_is_cut_into_packets_does_not_matter(cuts: list[int]) -> None:
    def check() -> None:
        wire = Wire()
        edges = [0, *sorted(set(cuts)), len(CHUNKED)]
        for start, end in itertools.pairwise(edges):
            wire.feed(CHUNKED[start:end])
        assert wire.answer.result().body == b"hello world!"

    run(check)


def test_first_byte_and_end_are_taken_from_the_socket_not_from_the_reader() -> None:
    def check() -> None:
        wire = Wire()
        wire.now = 101.0
        wire.feed(SIZED[:1])
        wire.now = 103.0
        wire.feed(SIZED[1:])
        wire.now = 999.0
        assert (wire.attempt.first_byte, wire.attempt.end) == (101.0, 103.0)

    run(check)


def test_a_connection_serves_one_request_after_another() -> None:
    def check() -> None:
        wire = Wire()
        wire.feed(SIZED)
        first = wire.attempt
        second = wire.ask()
        wire.feed(CHUNKED)
        assert second.result().body == b"hello world!"
        assert (first.was_reused, wire.attempt.was_reused) == (False, True)
        assert wire.attempt.received_bytes == len(CHUNKED)

    run(check)


def test_an_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    def check() -> None:
        wire = Wire(is_head=True)
        wire.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        assert wire.answer.result().body == b""
        second = wire.ask()
        wire.feed(SIZED)
        assert second.result().body == b"body"

    run(check)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_that_never_has_a_body_ends_with_its_headers(status: bytes) -> None:
    def check() -> None:
        wire = Wire()
        wire.feed(b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n")
        assert wire.answer.result().can_keep_alive

    run(check)


def test_interim_answers_are_passed_over() -> None:
    def check() -> None:
        wire = Wire()
        wire.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.feed(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SIZED)
        assert wire.answer.result().status == 201

    run(check)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    def check() -> None:
        wire = Wire()
        wire.feed(b"HTTP/1.1 200 OK\r\n\r\nall of ")
        wire.feed(b"it")
        assert not wire.answer.done()
        wire.connection.connection_lost(None)
        response = wire.answer.result()
        assert response.body == b"all of it"
        assert not response.can_keep_alive

    run(check)


def test_connection_close_is_obeyed() -> None:
    def check() -> None:
        wire = Wire()
        wire.feed(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        assert not wire.answer.result().can_keep_alive
        assert not wire.connection.is_open

    run(check)


def test_bytes_after_a_whole_answer_spoil_the_connection_and_not_the_answer() -> None:
    def check() -> None:
        wire = Wire()
        wire.feed(SIZED + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        response = wire.answer.result()
        assert response.body == b"body"
        assert not response.can_keep_alive

    run(check)


def test_bytes_that_nobody_asked_for_close_the_connection() -> None:
    def check() -> None:
        wire = Wire()
        wire.feed(SIZED)
        wire.feed(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert not wire.connection.is_open
        assert wire.transport.aborted

    run(check)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(b"SSH-2.0-OpenSSH\r\n", "protocol", id="not http"),
        pytest.param(b"HTTP/1.1 abc\r\n\r\n", "protocol", id="no status"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "protocol",
            id="bad chunk",
        ),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "protocol",
            id="upgrade",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (MAX_HEAD_BYTES // 6 + 1),
            "protocol",
            id="endless headers",
        ),
    ],
)
def test_an_answer_that_is_no_http_fails_the_attempt(data: bytes, kind: str) -> None:
    def check() -> None:
        wire = Wire()
        wire.feed(data)
        assert wire.failure() == kind
        assert wire.transport.aborted

    run(check)


@pytest.mark.parametrize(
    ("before", "error", "kind"),
    [
        pytest.param(b"", None, "closed", id="closed before a byte"),
        pytest.param(SIZED[:-1], None, "closed", id="closed in mid-body"),
        pytest.param(CHUNKED[:-5], None, "closed", id="closed in mid-chunk"),
        pytest.param(b"", ConnectionResetError(), "reset", id="reset before a byte"),
        pytest.param(SIZED[:-1], ConnectionResetError(), "reset", id="reset in mid-body"),
    ],
)
def test_a_connection_that_breaks_fails_the_attempt(
    before: bytes, error: Exception | None, kind: str
) -> None:
    def check() -> None:
        wire = Wire()
        if before:
            wire.feed(before)
        wire.connection.connection_lost(error)
        assert wire.failure() == kind
        assert wire.lost == [wire.connection]
        assert wire.attempt.end == 100.0

    run(check)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise_out_of_the_connection(data: bytes) -> None:
    def check() -> None:
        wire = Wire()
        wire.feed(b"HTTP/1.1 200 OK\r\n" + data)
        wire.connection.connection_lost(None)
        assert wire.answer.done()
        if wire.answer.exception() is not None:
            wire.failure()

    run(check)
