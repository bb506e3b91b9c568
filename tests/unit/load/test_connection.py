"""The connection against bytes: no socket, a transport that only remembers."""

from __future__ import annotations

import asyncio
import itertools
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgeproof.load.http import RawResponse, TransportError
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


class Answer:
    """Hears how one exchange ended."""

    def __init__(self) -> None:
        self.raw: RawResponse | None = None
        self.error: tuple[str, str] | None = None
        self.times = 0
        self.first_byte = self.end = 0.0
        self.received_bytes = 0
        self.was_reused = False

    def answered(self, connection: Connection) -> None:
        self._note(connection)
        self.raw = RawResponse(
            connection.status,
            connection.headers,
            connection.body,
            connection.can_keep_alive,
            connection.marks,
        )

    def failed(self, connection: Connection | None, kind: str, detail: str) -> None:
        assert connection is not None
        self._note(connection)
        self.error = (kind, detail)

    def done(self) -> bool:
        return self.times > 0

    def result(self) -> RawResponse:
        assert self.raw is not None
        return self.raw

    def _note(self, connection: Connection) -> None:
        self.times += 1
        assert self.times == 1
        self.first_byte, self.end = connection.first_byte, connection.end
        self.received_bytes = connection.received_bytes
        self.was_reused = connection.was_reused


class Wire:
    """A connection with a request on its way, and a clock that tests move."""

    def __init__(self, *, is_head: bool = False) -> None:
        self.lost: list[Connection] = []
        self.freed: list[Connection] = []
        self.now = 100.0
        self.connection = Connection(self.freed.append, self.lost.append, lambda: self.now)
        self.transport = MemoryTransport()
        self.connection.connection_made(cast("asyncio.BaseTransport", self.transport))
        self.answer = self.ask(is_head=is_head)

    def ask(self, *, is_head: bool = False) -> Answer:
        self.answer = Answer()
        self.connection.send(
            b"GET / HTTP/1.1\r\n\r\n",
            self.answer,
            now=self.now,
            deadline=self.now + 60,
            read_s=10,
            is_head=is_head,
        )
        return self.answer

    def feed(self, data: bytes) -> None:
        self.connection.data_received(data)

    def failure(self) -> str:
        assert self.answer.error is not None
        kind = self.answer.error[0]
        assert kind in TransportError.KINDS
        return kind


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [(CHUNKED, 200, b"hello world!"), (SIZED, 201, b"body")],
    ids=["chunked", "content length"],
)
def test_an_answer_fed_byte_by_byte_is_whole(data: bytes, status: int, body: bytes) -> None:
    wire = Wire()
    for place in range(len(data)):
        assert not wire.answer.done()
        wire.feed(data[place : place + 1])
    response = wire.answer.result()
    assert (response.status, response.body) == (status, body)
    assert (b"x-one", b"1") in response.headers
    assert response.can_keep_alive
    assert wire.answer.received_bytes == len(data)


@settings(max_examples=50)
@given(st.lists(st.integers(1, len(CHUNKED) - 1), max_size=6))
def test_where_an_answer_is_cut_into_packets_does_not_matter(cuts: list[int]) -> None:
    wire = Wire()
    edges = [0, *sorted(set(cuts)), len(CHUNKED)]
    for start, end in itertools.pairwise(edges):
        wire.feed(CHUNKED[start:end])
    assert wire.answer.result().body == b"hello world!"


def test_first_byte_and_end_are_taken_from_the_socket_not_from_the_reader() -> None:
    wire = Wire()
    wire.now = 101.0
    wire.feed(SIZED[:1])
    wire.now = 103.0
    wire.feed(SIZED[1:])
    wire.now = 999.0
    assert (wire.answer.first_byte, wire.answer.end) == (101.0, 103.0)


def test_a_connection_serves_one_request_after_another() -> None:
    wire = Wire()
    wire.feed(SIZED)
    first = wire.answer
    second = wire.ask()
    wire.feed(CHUNKED)
    assert second.result().body == b"hello world!"
    assert (first.was_reused, wire.answer.was_reused) == (False, True)
    assert wire.answer.received_bytes == len(CHUNKED)


def test_an_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    wire = Wire(is_head=True)
    wire.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    assert wire.answer.result().body == b""
    second = wire.ask()
    wire.feed(SIZED)
    assert second.result().body == b"body"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_that_never_has_a_body_ends_with_its_headers(status: bytes) -> None:
    wire = Wire()
    wire.feed(b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n")
    assert wire.answer.result().can_keep_alive


def test_interim_answers_are_passed_over() -> None:
    wire = Wire()
    wire.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    wire.feed(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SIZED)
    assert wire.answer.result().status == 201


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    wire = Wire()
    wire.feed(b"HTTP/1.1 200 OK\r\n\r\nall of ")
    wire.feed(b"it")
    assert not wire.answer.done()
    wire.connection.connection_lost(None)
    response = wire.answer.result()
    assert response.body == b"all of it"
    assert not response.can_keep_alive


def test_connection_close_is_obeyed() -> None:
    wire = Wire()
    wire.feed(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert not wire.answer.result().can_keep_alive
    assert not wire.connection.is_open


def test_bytes_after_a_whole_answer_spoil_the_connection_and_not_the_answer() -> None:
    wire = Wire()
    wire.feed(SIZED + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    response = wire.answer.result()
    assert response.body == b"body"
    assert not response.can_keep_alive


def test_bytes_that_nobody_asked_for_close_the_connection() -> None:
    wire = Wire()
    wire.feed(SIZED)
    wire.feed(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert not wire.connection.is_open
    assert wire.transport.aborted


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
    wire = Wire()
    wire.feed(data)
    assert wire.failure() == kind
    assert wire.transport.aborted


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
    wire = Wire()
    if before:
        wire.feed(before)
    wire.connection.connection_lost(error)
    assert wire.failure() == kind
    assert wire.lost == [wire.connection]
    assert wire.answer.end == 100.0


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise_out_of_the_connection(data: bytes) -> None:
    wire = Wire()
    wire.feed(b"HTTP/1.1 200 OK\r\n" + data)
    wire.connection.connection_lost(None)
    assert wire.answer.done()
    if wire.answer.error is not None:
        wire.failure()


def test_an_answer_says_which_of_its_headers_ask_for_more_work() -> None:
    wire = Wire()
    wire.feed(b"HTTP/1.1 200 OK\r\nDegraded: feed\r\nX: y\r\nContent-Length: 0\r\n\r\n")
    assert wire.answer.result().marks == {b"degraded"}
    second = wire.ask()
    wire.feed(SIZED)
    assert second.result().marks == frozenset()


@pytest.mark.parametrize(
    ("after_s", "kind"),
    [(9.9, None), (10.0, "read_timeout"), (60.0, "timeout")],
    ids=["still in time", "silence", "too long in all"],
)
def test_a_request_expires_by_silence_or_in_all(after_s: float, kind: str | None) -> None:
    wire = Wire()
    wire.connection.expire_if_due(100.0 + after_s)
    assert wire.answer.done() == (kind is not None)
    if kind is not None:
        assert wire.failure() == kind
        assert wire.transport.aborted
        assert wire.freed == [wire.connection]


def test_bytes_that_arrive_put_the_read_limit_off_but_not_the_total_one() -> None:
    wire = Wire()
    for second in range(9, 60, 9):
        wire.now = 100.0 + second
        wire.feed(SIZED[second // 9 - 1 : second // 9])
        wire.connection.expire_if_due(wire.now)
        assert not wire.answer.done()
    wire.connection.expire_if_due(160.0)
    assert wire.failure() == "timeout"


def test_a_connection_that_ended_before_fails_without_a_byte_sent() -> None:
    wire = Wire()
    wire.feed(SIZED)
    written = wire.transport.written
    wire.connection.connection_lost(None)
    wire.ask()
    assert wire.failure() == "closed"
    assert wire.connection.sent_bytes == 0
    assert wire.transport.written == written
