"""The judge: an HTTP/1.1 server that notes when each request arrived, and can stand still.

``python -m benchmarks.server`` prints its port, serves until its standard input ends, then prints
the arrivals as JSON: nanoseconds of CLOCK_MONOTONIC, in order. In a stall it goes on reading and
noting, and answers at the stall's end. It understands GET requests only.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from array import array
from collections.abc import Callable, Sequence

import uvloop

from benchmarks.stall import Stall

__all__ = ["Judge", "main"]

_BODY = b'{"ok":true}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)
_HEAD_END = b"\r\n\r\n"


class Judge:
    """Notes arrivals, and says when to answer."""

    def __init__(self, stall: Stall | None, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.arrivals_ns = array("q")
        self._stall, self._now_ns = stall, now_ns

    def note(self) -> float:
        """Note an arrival now; return how many seconds its answer has to wait."""
        now = self._now_ns()
        self.arrivals_ns.append(now)
        if self._stall is None:
            return 0.0
        since_first_s = (now - self.arrivals_ns[0]) / 1e9
        end = self._stall.end_after(since_first_s)
        return 0.0 if end is None else end - since_first_s


class _Connection(asyncio.Protocol):
    def __init__(self, judge: Judge, loop: asyncio.AbstractEventLoop) -> None:
        self._judge, self._loop = judge, loop
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a TCP server gives a Transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - inherited
        self._transport = None

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(_HEAD_END)
        for _ in heads:
            wait_s = self._judge.note()
            if wait_s:
                self._loop.call_later(wait_s, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if self._transport is not None:  # else the client has gone
            self._transport.write(_ANSWER)


async def _serve(judge: Judge) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(judge, loop), "127.0.0.1", 0, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    # Whoever started this server holds its input; when they end, however they end, it ends too.
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    server.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; returns the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.server", description=__doc__)
    parser.add_argument(
        "--stall",
        nargs=3,
        type=float,
        metavar=("EVERY", "LENGTH", "PHASE"),
        help="stand still for LENGTH of every EVERY seconds, PHASE seconds after the first request",
    )
    options = parser.parse_args(arguments)
    judge = Judge(Stall(*options.stall) if options.stall else None)
    # A collection in the middle would be booked as the generator's lag.
    gc.freeze()
    gc.disable()
    uvloop.run(_serve(judge))
    print(json.dumps(judge.arrivals_ns.tolist()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
