"""A bare HTTP/1.1 server: answers every request at once with the same 1 KiB, and does no more.

Run as a process of its own; the first line of its output is its port. It ends when its standard
input does, so that it cannot outlive who started it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

__all__ = ["main"]

_BODY = b"x" * 1024
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + _BODY
_END = b"\r\n\r\n"


class _Answering(asyncio.Protocol):
    """Answers as many requests as heads have come; bodies are not expected."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        count = data.count(_END)
        self._rest = data[data.rfind(_END) + len(_END) :] if count else data
        if self._transport is not None and count:
            self._transport.write(_ANSWER * count)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    orphaned = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), orphaned.set)
    await orphaned.wait()
    server.close()


def main() -> None:
    """Serve until standard input ends."""
    uvloop.run(_serve())


if __name__ == "__main__":
    main()
