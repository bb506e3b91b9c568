"""A server that answers each path in its own wrong way."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

Answer: TypeAlias = Callable[["HostileServer", asyncio.StreamWriter, str], Awaitable[None]]
GIGABYTE = 1024**3


class HostileServer:
    """Answers each path of `ANSWERS` in its own wrong way, and ``/healthy`` well.

    It runs in a thread of its own; ``requests`` counts what it read, by path.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        path: Path | None = None,
    ) -> None:
        self.requests: Counter[str] = Counter()
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.dialled = 0
        self.port = 0
        self._tls, self._host, self._path = tls, host, path
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._bound = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._bound.wait(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        loop = self._loop
        if self._path is not None:
            server = loop.run_until_complete(
                asyncio.start_unix_server(self._accept, str(self._path), limit=1 << 20)
            )
        else:
            server = loop.run_until_complete(
                asyncio.start_server(self._accept, self._host, 0, ssl=self._tls, backlog=1024)
            )
            self.port = server.sockets[0].getsockname()[1]
        # A client that breaks a handshake off is what these tests want.
        loop.set_exception_handler(lambda _loop, _context: None)
        self._bound.set()
        loop.run_forever()
        server.close()
        for writer in self._open:
            writer.transport.abort()
        # A turn or two for each connection to notice that it has ended.
        loop.run_until_complete(asyncio.sleep(0.05))
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.dialled += 1
        self._open.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._talk(reader, writer)
        self._open.discard(writer)
        writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ")[1]
            body = await read_body(reader, head)
            self.requests[path] += 1
            self.heads.append(head)
            self.bodies.append(body)
            await ANSWERS[path.partition("?")[0]](self, writer, head)


async def read_body(reader: asyncio.StreamReader, head: str) -> bytes:
    lower = head.lower()
    if "transfer-encoding: chunked" in lower:
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return body
    length = lower.partition("content-length: ")[2].partition("\r\n")[0]
    return await reader.readexactly(int(length or 0))


def fixed(data: bytes, *, then: str = "keep") -> Answer:
    """Answer with these bytes, then ``keep`` the connection, ``close`` or ``reset`` it."""

    async def answer(_server: HostileServer, writer: asyncio.StreamWriter, _head: str) -> None:
        writer.write(data)
        await writer.drain()
        if then == "reset":
            reset(writer)
        elif then == "close":
            writer.close()

    return answer


def sized(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *fields, b"", b""]
    return b"\r\n".join(lines) + body


def moved(location: bytes, status: bytes = b"302 Found") -> Answer:
    return fixed(sized(b"", b"Location: " + location, status=status))


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def endless(head: bytes, piece: bytes, most: int = GIGABYTE) -> Answer:
    async def answer(_server: HostileServer, writer: asyncio.StreamWriter, _head: str) -> None:
        writer.write(head)
        for _ in range(most // len(piece)):
            writer.write(piece)
            await writer.drain()

    return answer


async def silence(_server: HostileServer, writer: asyncio.StreamWriter, _head: str) -> None:
    await asyncio.sleep(60)


async def hold_back(_server: HostileServer, writer: asyncio.StreamWriter, _head: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
    await asyncio.sleep(60)


async def echo(server: HostileServer, writer: asyncio.StreamWriter, head: str) -> None:
    writer.write(sized(server.bodies[-1], b"X-Head: " + head.encode("unicode_escape")))


async def once(server: HostileServer, writer: asyncio.StreamWriter, head: str) -> None:
    """Answer a connection's first request, then close when the second one has been read."""
    if getattr(writer, "was_used", False):
        writer.transport.abort()
        return
    writer.was_used = True  # type: ignore[attr-defined]
    writer.write(sized(b"ok"))


PACKED = gzip.compress(b'{"text": "hello"}')
ANSWERS: dict[str, Answer] = {
    "/healthy": fixed(sized(b'{"id": 1}')),
    "/echo": echo,
    "/once": once,
    "/reset-at-once": fixed(b"", then="reset"),
    "/reset-in-body": fixed(sized(b"x" * 100)[:-50], then="reset"),
    "/closed-at-once": fixed(b"", then="close"),
    "/closed-in-head": fixed(b"HTTP/1.1 200 OK\r\nContent-", then="close"),
    "/length-too-long": fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", then="close"),
    "/length-too-short": fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlong and more"),
    "/length-negative": fixed(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    "/length-twice": fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    "/chunk-garbage": fixed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n"),
    "/no-http": fixed(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "/endless-headers": endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 500),
    "/endless-header": endless(b"HTTP/1.1 200 OK\r\nX-More: ", b"x" * 8000),
    "/endless-interim": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 200),
    "/endless-trailers": endless(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-More: x\r\n" * 500
    ),
    "/gigabyte": endless(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIGABYTE, b"\0" * (1 << 18)
    ),
    "/gigabyte-chunked": endless(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"10000\r\n" + b"\0" * 65536 + b"\r\n",
    ),
    "/silent": silence,
    "/holds-back": hold_back,
    "/no-utf8": fixed(sized(b'{"text": "\xff\xfe"}', b"X-Name: \xff\xfe")),
    "/gzip": fixed(sized(PACKED, b"Content-Encoding: gzip")),
    "/gzip-cut-off": fixed(sized(PACKED[:-9], b"Content-Encoding: gzip")),
    "/gzip-bomb": fixed(sized(gzip.compress(b"\0" * (1 << 27)), b"Content-Encoding: gzip")),
    "/switches": fixed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "/see-other": moved(b"/echo", b"303 See Other"),
    "/temporary": moved(b"/echo", b"307 Temporary Redirect"),
    "/loop": moved(b"/loop"),
    "/ping": moved(b"pong"),
    "/pong": moved(b"ping"),
    "/elsewhere": moved(b"http://example.org/"),
    "/login": fixed(sized(b"", b"Set-Cookie: session=abc; Path=/", b"Set-Cookie: theme=dark")),
    "/logout": fixed(sized(b"", b"Set-Cookie: session=; Path=/; Max-Age=0")),
}
