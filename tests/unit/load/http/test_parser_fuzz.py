"""Malformed answers by the thousand: each ends its exchange once, and none raises or hangs."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from math import inf
from typing import TYPE_CHECKING, cast

from surgeproof.load.http import Connection, RawResponse, TransportError
from surgeproof.load.http.cookies import CookieJar
from surgeproof.load.http.decoding import decoded
from surgeproof.load.http.origin import Origin
from surgeproof.load.http.redirects import Redirects
from surgeproof.load.outcomes import judge

if TYPE_CHECKING:
    import asyncio

SEED = 20_240_607
COUNT = 100_000
HERE = Origin.parse("http://shop.test")
GOOD = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nhello, world!",
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;a=b\r\nworld!\r\n0\r\n\r\n"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
    b"1\r\nx\r\n0\r\nX: y\r\n\r\n"),
    b"HTTP/1.1 204 No Content\r\nSet-Cookie: a=1; Path=/; Max-Age=5\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /next?x=1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
    % (len(gzip.compress(b'{"degraded": ["x"]}', mtime=0)),
       gzip.compress(b'{"degraded": ["x"]}', mtime=0)),
)  # fmt: skip
PIECES = (
    b"\r\n", b"\n", b"\r", b"\0", b"\xff", b":", b" ", b"\t", b"0", b"-1", b"99999999999999999999",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
    b"HTTP/1.1 ", b"HTTP/9.9 ", b"\r\n\r\n", b"ffffffffffffffff\r\n", b"Connection: close\r\n",
    b"Set-Cookie: \xff=\x01\r\n", b"Location: http://[\r\n", b"Content-Encoding: gzip\r\n",
)  # fmt: skip


class DeafTransport:
    """Takes what is written and ends when it is told to."""

    is_closed = False

    def write(self, data: bytes) -> None:
        """Nobody reads it."""

    def abort(self) -> None:
        self.is_closed = True


class Ending:
    """The exchange of one request; what it was told, and what the client would make of it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def answered(self, connection: Connection) -> None:
        raw = RawResponse(
            connection.status,
            connection.headers,
            connection.body,
            can_keep_alive=connection.can_keep_alive,
            marks=connection.marks,
        )
        try:
            jar = CookieJar(HERE.host, is_tls=False)
            for name, value in raw.headers:
                if name == b"set-cookie":
                    jar.store(value.decode("latin-1"), "/a", 0.0)
            raw = decoded(raw)
            Redirects(HERE).take("GET", "/a", raw)
            kind = judge(raw).outcome.value
        except TransportError as error:
            kind = error.kind
            assert kind in TransportError.KINDS
        self.told.append(kind)

    def failed(self, connection: Connection | None, kind: str, detail: str) -> None:
        assert kind in TransportError.KINDS
        self.told.append(kind)


def malformed(randomness: random.Random) -> bytes:
    """Return a good answer with a few mistakes, or none of it at all."""
    if randomness.random() < 0.1:
        return randomness.randbytes(randomness.randrange(200))
    data = bytearray(randomness.choice(GOOD))
    for _ in range(randomness.randint(1, 4)):
        place = randomness.randrange(len(data) + 1)
        way = randomness.randrange(5)
        if way == 0:
            data[place:place] = randomness.choice(PIECES)
        elif way == 1:
            del data[place : place + randomness.randint(1, 8)]
        elif way == 2:
            data[place : place + 1] = randomness.randbytes(1)
        elif way == 3:
            del data[place:]
        else:
            other = randomness.choice(GOOD)
            data[place:] = other[randomness.randrange(len(other)) :]
    return bytes(data)


def meet(data: bytes, randomness: random.Random) -> str:
    """Feed one answer in pieces to a connection, and end it; return how the request ended."""
    freed: list[Connection] = []
    lost: list[Connection] = []
    connection = Connection(freed.append, lost.append, lambda: 1.0)
    transport, ending = DeafTransport(), Ending()
    connection.connection_made(cast("asyncio.BaseTransport", transport))
    connection.send(
        b"GET / HTTP/1.1\r\n\r\n",
        ending,
        now=1.0,
        deadline=inf,
        read_s=inf,
        is_head=randomness.random() < 0.1,
    )
    place = 0
    while place < len(data) and not transport.is_closed:
        step = randomness.choice((1, 7, len(data)))
        connection.data_received(data[place : place + step])
        place += step
    connection.connection_lost(randomness.choice((None, ConnectionResetError())))
    assert len(ending.told) == 1, data
    assert (len(freed), len(lost)) == (1, 1), data
    return ending.told[0]


def test_a_hundred_thousand_malformed_answers_end_their_request_once_each() -> None:
    randomness = random.Random(SEED)
    endings = Counter(meet(malformed(randomness), randomness) for _ in range(COUNT))
    assert endings.total() == COUNT
    # A fuzz that always ends in the same way would prove nothing.
    assert {"full", "protocol", "closed", "reset", "error", "redirect_refused"} <= set(endings)
