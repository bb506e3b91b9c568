"""A small shop that knows nothing of surgeproof: items and orders over HTTP, kept in a store.

Run as a program of its own: ``python shop.py [--certificate FILE --key FILE]``. It prints its
ports as one JSON line and then obeys its standard input, one JSON object a line, each answered
with ``ok``; it ends when its input does. The store listens on a port of its own, so that a proxy
fits between the two: tell the shop with ``{"store": "127.0.0.1:PORT"}``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import ssl
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

# What the shop waits for its store; a user would not wait longer for a page.
STORE_TIMEOUT_S = 0.5
HOST = "127.0.0.1"


@dataclass
class Habits:
    """How the shop behaves; every field may be changed through its standard input."""

    store: str = ""
    # Before each answer, in seconds.
    delay_s: float = 0.0
    # Once, the whole shop stands still for this long.
    stall_s: float = 0.0
    # Of all requests, every so many-th fails with 500 (0: none).
    fail_every: int = 0
    # keep, lose or double what is acknowledged; or refuse to acknowledge anything.
    orders: str = "keep"
    # Whether orders can be asked for.
    is_readable: bool = True


@dataclass(frozen=True)
class Answer:
    status: int
    body: object = field(default_factory=dict)
    headers: tuple[str, ...] = ()

    def encode(self) -> bytes:
        body = json.dumps(self.body).encode()
        lines = [f"HTTP/1.1 {self.status} -", f"Content-Length: {len(body)}", *self.headers]
        return "\r\n".join([*lines, "Content-Type: application/json", "", ""]).encode() + body


class Store:
    """Counts what it is told, over TCP: one JSON request a line, one JSON answer a line."""

    def __init__(self) -> None:
        self._copies: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                asked = json.loads(line)
                self._copies[asked["key"]] += asked["copies"]
                writer.write(json.dumps(self._copies[asked["key"]]).encode() + b"\n")
        writer.close()


Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class StoreClient:
    """Connections to the store, kept and used again."""

    def __init__(self, habits: Habits) -> None:
        self._habits = habits
        self._idle: list[Link] = []

    async def count(self, key: str, *, copies: int = 0) -> int:
        """Add copies of a key and return how many there are now.

        Raises:
            OSError: the store cannot be reached, or did not answer in time.
        """
        async with asyncio.timeout(STORE_TIMEOUT_S):
            return await self._ask(json.dumps({"key": key, "copies": copies}).encode() + b"\n")

    async def _ask(self, line: bytes) -> int:
        link = self._idle.pop() if self._idle else await self._dial()
        reader, writer = link
        try:
            writer.write(line)
            answer = await reader.readline()
        except BaseException:
            writer.close()
            raise
        if not answer:
            writer.close()
            raise ConnectionResetError("the store closed the connection")
        self._idle.append(link)
        return int(answer)

    async def _dial(self) -> Link:
        host, _, port = self._habits.store.rpartition(":")
        return await asyncio.open_connection(host, int(port))


class Shop:
    """The shop's pages. Whoever does not show the token gets 401."""

    def __init__(self, habits: Habits, token: str) -> None:
        self._habits = habits
        self._store = StoreClient(habits)
        self._token = token
        self._requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = [line.partition(": ") for line in head.split("\r\n")[1:]]
                fields = {name.lower(): value for name, _, value in lines}
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                method, path, _ = head.split(" ", 2)
                answer = await self._answer(method, path, body, fields)
                writer.write(answer.encode())
        writer.close()

    async def _answer(self, method: str, path: str, body: bytes, fields: dict[str, str]) -> Answer:
        habits = self._habits
        if fields.get("authorization") != f"Bearer {self._token}":
            return Answer(401)
        if habits.stall_s:
            stall_s, habits.stall_s = habits.stall_s, 0.0
            time.sleep(stall_s)  # noqa: ASYNC251 - on purpose: everything stands still
        if habits.delay_s:
            await asyncio.sleep(habits.delay_s)
        self._requests += 1
        if habits.fail_every and self._requests % habits.fail_every == 0:
            return Answer(500)
        pages: dict[str, Callable[[], Awaitable[Answer]]] = {
            "GET /items": lambda: self._show_item(path),
            "POST /orders": lambda: self._take_order(json.loads(body)["key"]),
            "GET /orders": lambda: self._show_order(path.rpartition("/")[2]),
        }
        page = pages.get(f"{method} /{path.split('/')[1]}")
        return await page() if page else Answer(404)

    async def _show_item(self, path: str) -> Answer:
        try:
            await self._store.count(path)
        except OSError:
            return Answer(200, {"item": path, "degraded": ["stock"]}, ("Degraded: stock",))
        return Answer(200, {"item": path})

    async def _take_order(self, key: str) -> Answer:
        if self._habits.orders == "refuse":
            return Answer(503, headers=("Retry-After: 1",))
        copies = {"keep": 1, "lose": 0, "double": 2}[self._habits.orders]
        try:
            await self._store.count(key, copies=copies)
        except OSError:
            return Answer(500)
        return Answer(201, {"order": key})

    async def _show_order(self, key: str) -> Answer:
        if not self._habits.is_readable:
            return Answer(500)
        try:
            return Answer(200, {"count": await self._store.count(key)})
        except OSError:
            return Answer(500)


async def _obey(habits: Habits) -> None:
    """Change habits by the lines of standard input, until it ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        for name, value in json.loads(line).items():
            if not hasattr(habits, name):
                raise SystemExit(f"unknown habit {name!r}")
            setattr(habits, name, value)
        print("ok", flush=True)


async def _run(certificate: Path | None, key: Path | None) -> None:
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
    habits = Habits()
    store = await asyncio.start_server(Store().serve, HOST, 0)
    shop = await asyncio.start_server(
        Shop(habits, os.environ["SHOP_TOKEN"]).serve, HOST, 0, ssl=tls, backlog=1024
    )
    ports = [server.sockets[0].getsockname()[1] for server in (shop, store)]
    habits.store = f"{HOST}:{ports[1]}"
    print(json.dumps({"shop": ports[0], "store": ports[1]}), flush=True)
    await _obey(habits)


def main() -> None:
    """Run the shop until its standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    options = parser.parse_args()
    asyncio.run(_run(options.certificate, options.key))


if __name__ == "__main__":
    main()
