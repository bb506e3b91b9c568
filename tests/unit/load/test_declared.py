"""Declared requests over a pool of memory: no socket, a transport that tests answer by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from math import isnan
from types import SimpleNamespace
from typing import Any, cast

import pytest

from surgeproof.errors import UsageError
from surgeproof.load.client import Client
from surgeproof.load.declared import DeclaredRequest, request
from surgeproof.load.http import Connection, Origin, RequestEncoder, Transport
from surgeproof.load.recorder import Recorder, SampleRow
from surgeproof.load.runners import RequestRunner
from surgeproof.model.plan import Timeouts

ENCODER = RequestEncoder(Origin.parse("http://target"), {})
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def path_of(wire: bytes) -> str:
    return wire.split()[1].decode()


def test_a_request_is_built_once_with_its_body_and_type() -> None:
    declared = request("POST", "/v1/posts?x=1", json={"text": "hi"}, weight=2, tags=["write"])
    assert (declared.name, declared.weight) == ("POST /v1/posts", 2)
    assert declared.tags == {"write"}
    (wire,) = declared.encode(object(), ENCODER)
    assert b"Content-Type: application/json\r\n" in wire
    assert wire.endswith(b'\r\n\r\n{"text":"hi"}')


def test_paths_and_headers_can_come_from_what_was_prepared() -> None:
    declared = request(
        "GET",
        lambda user: [f"/posts/{each}" for each in user.posts],
        name="GET /posts/{id}",
        headers=lambda user: {"Authorization": user.token},
    )
    wires = declared.encode(SimpleNamespace(posts=[3, 5], token="t"), ENCODER)
    assert [path_of(wire) for wire in wires] == ["/posts/3", "/posts/5"]
    assert all(b"Authorization: t\r\n" in wire for wire in wires)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (request("GET", [], name="GET /x"), "has no path"),
        (request("GET", "/a b", name="GET /x"), "percent-encoded"),
        (request("get", "/a", name="GET /x"), "capitals"),
    ],
    ids=["no path", "a path with a space", "method in small letters"],
)
def test_a_request_that_cannot_be_sent_is_told_by_name(
    declared: DeclaredRequest, message: str
) -> None:
    with pytest.raises(UsageError, match=f"'GET /x'.*{message}"):
        declared.encode(object(), ENCODER)


def test_several_paths_need_a_name() -> None:
    with pytest.raises(UsageError, match="needs a name"):
        request("GET", ["/a", "/b"])


class Wires:
    """A transport whose connections write into a list and are answered by hand."""

    def __init__(self, connections: int) -> None:
        self.written: list[tuple[Connection, bytes]] = []
        self.transport = Transport(
            Origin.parse("http://127.0.0.1:1"),
            asyncio.get_running_loop(),
            connections=connections,
            limits=Timeouts(5, 10, 10),
        )
        pool = self.transport.pool
        for _ in range(connections):
            connection = Connection(pool.release, pool._all.discard)
            wire = SimpleNamespace(write=self._writer(connection), abort=lambda: None)
            connection.connection_made(cast("asyncio.BaseTransport", wire))
            pool._all.add(connection)
            pool._busy += 1
            pool.release(connection)

    def _writer(self, connection: Connection) -> Any:
        return lambda data: self.written.append((connection, data))

    def answer(self, data: bytes = OK) -> bytes:
        connection, written = self.written.pop(0)
        connection.data_received(data)
        return written


class Bench:
    def __init__(self, connections: int = 1, path: str | Sequence[str] = "/a") -> None:
        self.wires = Wires(connections)
        declared = request("GET", path, name="GET /a", expect=[404])
        self.recorder = Recorder({"GET /a": "T0"})
        client = cast("Client", SimpleNamespace(t0=1000.0))
        self.runner = RequestRunner(
            declared,
            declared.encode(object(), ENCODER),
            self.wires.transport,
            client,
            self.recorder,
        )

    def rows(self) -> list[SampleRow]:
        return [self.recorder.row(0, "p", values) for values in self.recorder.take().tolist()]


def run(body: Any) -> None:
    asyncio.run(body())


@pytest.mark.parametrize(
    ("answer", "outcome", "kind"),
    [
        (OK, "full", ""),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "full", ""),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "error", "status_500"),
        (b"HTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", "shed", "status_503"),
        (b"HTTP/1.1 200 OK\r\nDegraded: x\r\nContent-Length: 0\r\n\r\n", "degraded", ""),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"degraded":"x"}', "degraded", ""),
        (b"nonsense\r\n\r\n", "error", "protocol"),
    ],
    ids=["fine", "expected", "error", "shed", "degraded header", "degraded body", "no http"],
)
def test_each_answer_is_one_sample_of_the_right_outcome(
    answer: bytes, outcome: str, kind: str
) -> None:
    async def check() -> None:
        bench = Bench()
        bench.runner.start(7, 1001.0, 0)
        bench.wires.answer(answer)
        (row,) = bench.rows()
        assert (row.outcome, row.error_kind, row.session, row.step) == (outcome, kind, 7, 1)
        assert (row.name, row.method, row.tier, row.intended_s) == ("GET /a", "GET", "T0", 1.0)
        assert (bench.recorder.in_flight, bench.recorder.completed) == (0, 1)

    run(check)


def test_arrivals_beyond_the_connections_wait_and_their_wait_counts() -> None:
    async def check() -> None:
        bench = Bench(path=["/0", "/1", "/2"])
        for slot in range(3):
            bench.runner.start(slot, 1000.0, 0)
        assert (len(bench.wires.written), bench.wires.transport.queued) == (1, 2)
        assert [path_of(bench.wires.answer()) for _ in range(3)] == ["/0", "/1", "/2"]
        rows = bench.rows()
        assert [row.session for row in rows] == [0, 1, 2]
        # The next begins with the connection, when the one before has ended.
        for before, after in pairwise(rows):
            assert before.end_s is not None
            assert after.start_s is not None
            assert after.start_s >= before.end_s

    run(check)


def test_an_arrival_that_never_got_a_connection_is_dropped() -> None:
    async def check() -> None:
        bench = Bench()
        for slot in (4, 5):
            bench.runner.start(slot, 1000.0, 0)
        bench.wires.transport.pool.expire(float("inf"))
        assert bench.recorder.take_drops().tolist() == [5]
        (row,) = bench.rows()
        assert (row.session, row.error_kind) == (4, "timeout")
        assert bench.recorder.in_flight == 0

    run(check)


def test_what_the_runs_end_cuts_off_is_unfinished() -> None:
    async def check() -> None:
        bench = Bench()
        bench.runner.start(1, 1000.0, 0)
        await bench.runner.settle(0.0, 0.0)
        bench.wires.transport.pool.cut_off()
        (row,) = bench.rows()
        assert (row.error_kind, row.end_s, row.outcome) == ("unfinished", None, "error")
        assert bench.recorder.completed == 0
        assert not isnan(row.start_s or 0.0)

    run(check)
