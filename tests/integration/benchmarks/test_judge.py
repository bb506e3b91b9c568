"""The judge for real: what it answers, what it notes, how it stands still. Takes two seconds."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from benchmarks.judge import Judge, judging
from benchmarks.stall import Stall

pytestmark = pytest.mark.integration

TIMEOUT_S = 10.0


def exchange(
    judge: Judge, path: str, body: object | None = None, token: str | None = None
) -> tuple[int, bytes]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    connection = http.client.HTTPConnection(judge.url.removeprefix("http://"), timeout=TIMEOUT_S)
    with contextlib.closing(connection):
        data = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, data, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def call(
    judge: Judge, path: str, body: object | None = None, token: str | None = None
) -> tuple[int, Any]:
    status, answer = exchange(judge, path, body, token)
    return status, json.loads(answer)


def connect(judge: Judge) -> socket.socket:
    return socket.create_connection(
        ("127.0.0.1", int(judge.url.rpartition(":")[2])), timeout=TIMEOUT_S
    )


def receive(stream: BinaryIO) -> bytes:
    """Read one answer and return its body."""
    length = 0
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.partition(b": ")
        length = int(value) if name == b"Content-Length" else length
    return stream.read(length)


def test_a_journey_needs_its_own_token_and_is_counted_when_read_back(
    judge_program: Path, tmp_path: Path
) -> None:
    with judging(judge_program, tmp_path, None) as judge:
        _, login = call(judge, "/login", {"user": "ann"})
        _, other = call(judge, "/login", {"user": "bob"})
        assert call(judge, "/posts", {"text": "hello"}) == (401, {})
        status, post = call(judge, "/posts", {"text": "hello"}, login["token"])
        assert status == 201
        path = f"/posts/{post['id']}"
        assert call(judge, path, token=other["token"])[0] == 404
        assert call(judge, path)[0] == 401
        assert call(judge, "/posts/99", token=login["token"])[0] == 404
        assert call(judge, path, token=login["token"]) == (200, {"id": 1, "text": "hello"})
        seen = judge.finish()
    assert (seen.journeys, seen.rejected) == (1, 4)
    assert len(seen.arrivals_s) == 8


def test_the_plain_answer_is_a_kilobyte_of_json(judge_program: Path, tmp_path: Path) -> None:
    with judging(judge_program, tmp_path, None) as judge:
        status, body = exchange(judge, "/")
        judge.finish()
    assert (status, len(body)) == (200, 1024)
    assert json.loads(body) == {}


def test_requests_in_pieces_and_several_at_once_are_each_noted(
    judge_program: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    with judging(judge_program, tmp_path, None) as judge, connect(judge) as connection:
        stream = connection.makefile("rb")
        request = b"GET / HTTP/1.1\r\nHost: judge\r\n\r\n"
        connection.sendall(request * 3 + request[:9])
        assert [len(receive(stream)) for _ in range(3)] == [1024] * 3
        connection.sendall(request[9:])
        assert len(receive(stream)) == 1024
        connection.sendall(b'POST /login HTTP/1.1\r\ncontent-length: 12\r\n\r\n{"user":')
        connection.sendall(b'"a"}')
        assert receive(stream) == b'{"token":"t1"}'
        stream.close()
        seen = judge.finish()
    assert (len(seen.arrivals_s), seen.connections) == (5, 1)
    assert began <= seen.arrivals_s[0] <= seen.arrivals_s[-1] <= time.monotonic()


def test_in_a_stall_arrivals_are_noted_and_answered_at_its_end(
    judge_program: Path, tmp_path: Path
) -> None:
    stall = Stall(every_s=60.0, length_s=0.4, phase_s=0.1)
    with judging(judge_program, tmp_path, None, stall) as judge:
        call(judge, "/")
        time.sleep(0.2)
        sent = time.monotonic()
        call(judge, "/")
        answered = time.monotonic()
        seen = judge.finish()
    assert seen.arrivals_s[1] < answered
    # Not before the stall's end, which counts from the first request.
    assert answered - seen.arrivals_s[0] >= stall.phase_s + stall.length_s
    assert seen.arrivals_s[1] - seen.arrivals_s[0] >= sent - seen.arrivals_s[0]


def test_the_judge_ends_with_whoever_started_it(judge_program: Path, tmp_path: Path) -> None:
    with judging(judge_program, tmp_path, None) as judge:
        process = judge._process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 0
