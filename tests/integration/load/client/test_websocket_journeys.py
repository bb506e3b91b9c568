"""WebSocket journeys against a real server: what they get, and the samples they leave.

About 5 seconds, most of it a generator's start.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection, serve, unix_serve
from websockets.exceptions import ConnectionClosed

from surgeproof.model.words import Outcome

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    from websockets.http11 import Request, Response
    from websockets.typing import Subprotocol

    from surgeproof.load.client import Client
    from surgeproof.model.samples import Labels
    from tests.integration.load.client.conftest import ClientOf, ServedWith
    from tests.integration.load.conftest import StartRun

    Watch = Callable[[Callable[[Client], Awaitable[None]]], "LiveServer"]

pytestmark = pytest.mark.integration

# The server's thread may get its turn late on a busy machine.
PATIENCE_S = 10.0

SCENARIO = """
from surgeproof.load import OpenLoopUser, journey


class Watcher(OpenLoopUser):
    @journey("WS /live")
    async def watch(self):
        async with self.client.websocket("/live", name="WS /live") as socket:
            sent = await socket.send("later")
            await socket.receive(name="WS answer", since=sent)
            await socket.receive(name="WS silence", timeout_s=0.05)
"""


# What the server writes by itself, past its own library.
RAW = {"no text": b"\x81\x02\xff\xfe", "nonsense": b"\xff\xff\xff\xff"}


def _chosen(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((each for each in offered if each == "feed.v2"), None)


class LiveServer:
    """Answers each message by what it says, in a thread of its own."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, path: Path | None = None) -> None:
        self.heads: list[str] = []
        self.closes: list[int] = []
        self.port = 0
        self._tls, self._path = tls, path
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Future[None] = self._loop.create_future()
        self._bound = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._bound.wait(10)

    def closed(self, count: int) -> list[int]:
        """Return the codes of the closes, once there are so many; the server hears of them last."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.closes) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return list(self.closes)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set_result, None)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        options = {
            "process_request": self._admit,
            "select_subprotocol": _chosen,
            "close_timeout": 0.2,
        }
        if self._path is not None:
            serving = unix_serve(self._talk, str(self._path), **options)
        else:
            serving = serve(self._talk, "127.0.0.1", 0, ssl=self._tls, **options)  # type: ignore[arg-type]
        async with serving as server:
            if self._path is None:
                self.port = next(iter(server.sockets)).getsockname()[1]
            self._bound.set()
            await self._stop

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.heads.append("".join(f"{k}: {v}\n" for k, v in request.headers.raw_items()))
        if request.path == "/full":
            answer = connection.respond(503, "full\n")
            answer.headers["Retry-After"] = "1"
            return answer
        return connection.respond(404, "none\n") if request.path == "/none" else None

    async def _talk(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for message in connection:
                await self._answer(connection, message)
        self.closes.append(connection.close_code or 0)

    async def _answer(self, connection: ServerConnection, message: str | bytes) -> None:
        if message == "later":
            await asyncio.sleep(0.1)
            await connection.send("now")
        elif message == "fragments":
            await connection.send(["one ", "two ", "three"])
        elif message == "ping":
            await (await connection.ping())
            await connection.send("was answered")
        elif message == "close":
            await connection.send("last words")
            await connection.close(4001, "enough")
        elif message == "large":
            await connection.send("x" * 5000)
        elif isinstance(message, str) and message in RAW:
            connection.transport.write(RAW[message])
        elif message == "break":
            connection.transport.abort()
        elif message == "flood":
            for _ in range(40):
                await connection.send(b"x" * 1000)
        else:
            await connection.send(message)


@pytest.fixture
def start_live() -> Iterator[Callable[..., LiveServer]]:
    started: list[LiveServer] = []

    def start(**options: object) -> LiveServer:
        started.append(LiveServer(**options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def watch(
    client_of: ClientOf, start_live: Callable[..., LiveServer]
) -> Callable[[Callable[[Client], Awaitable[None]]], LiveServer]:
    """Let a coroutine use a client of a new server; returns the server."""

    def run(steps: Callable[[Client], Awaitable[None]]) -> LiveServer:
        server = start_live()

        async def go() -> None:
            async with client_of(f"http://127.0.0.1:{server.port}") as client:
                await steps(client)

        uvloop.run(go())
        return server

    return run


def test_texts_and_bytes_go_both_ways_and_the_close_is_clean(watch: Watch) -> None:
    async def steps(client: Client) -> None:
        async with client.websocket(
            "/live?x=1", headers={"Authorization": "Bearer t"}, subprotocols=["feed.v2"]
        ) as socket:
            assert (socket.is_open, socket.status, socket.outcome) == (True, 101, Outcome.FULL)
            assert socket.subprotocol == "feed.v2"
            await socket.send("grüße")
            assert await socket.receive() == "grüße"
            await socket.send(b"\x00" * 100_000)
            assert await socket.receive() == b"\x00" * 100_000
            await socket.send("fragments")
            assert await socket.receive() == "one two three"
            await socket.send("ping")
            assert await socket.receive() == "was answered"
        assert not socket.is_open

    server = watch(steps)
    assert server.closed(1) == [1000]
    assert "Authorization: Bearer t\n" in server.heads[0]
    assert "User-Agent: surgeproof\n" in server.heads[0]


def test_a_close_of_the_servers_is_told_after_its_last_message(watch: Watch) -> None:
    async def steps(client: Client) -> None:
        async with client.websocket("/live") as socket:
            await socket.send("close")
            assert await socket.receive() == "last words"
            assert await socket.receive() is None
            assert socket.error_kind == "closed"
            assert (socket.close_code, socket.close_reason) == (4001, "enough")
            await socket.send("into the void")

    watch(steps)


@pytest.mark.parametrize(
    ("message", "kind", "close_code"),
    [
        ("large", "too_large", 1009),
        ("no text", "protocol", 1007),
        ("nonsense", "protocol", 1002),
        ("break", "closed", 1006),
    ],
)
def test_what_breaks_a_connection_has_its_error_kind(
    watch: Watch,
    message: str,
    kind: str,
    close_code: int,
) -> None:
    async def steps(client: Client) -> None:
        async with client.websocket("/live", max_message_bytes=4096) as socket:
            await socket.send(message)
            assert await socket.receive() is None
            assert socket.error_kind == kind
            assert not socket.is_open

    server = watch(steps)
    assert server.closed(1) == [close_code]


def test_messages_that_nobody_takes_wait_in_the_socket_and_not_in_memory(watch: Watch) -> None:
    async def steps(client: Client) -> None:
        async with client.websocket("/live", max_message_bytes=1000) as socket:
            await socket.send("flood")
            await asyncio.sleep(0.1)
            for _ in range(40):
                assert await socket.receive() == b"x" * 1000

    watch(steps)


@pytest.mark.parametrize(
    ("path", "outcome", "kind"),
    [("/none", Outcome.ERROR, "status_404"), ("/full", Outcome.SHED, "status_503")],
)
def test_a_handshake_that_is_refused_opens_nothing(
    watch: Watch,
    path: str,
    outcome: Outcome,
    kind: str,
) -> None:
    async def steps(client: Client) -> None:
        async with client.websocket(path) as socket:
            assert (socket.outcome, socket.error_kind) == (outcome, kind)
            assert not socket.is_open
            await socket.send("x")
            assert await socket.receive(name="never") is None

    watch(steps)


def test_a_server_that_is_not_there_opens_nothing(client_of: ClientOf) -> None:
    async def go() -> tuple[bool, str]:
        async with client_of("http://127.0.0.1:1") as client, client.websocket("/") as socket:
            return socket.is_open, socket.error_kind

    assert uvloop.run(go()) == (False, "refused")


def test_a_websocket_goes_over_a_unix_socket(
    client_of: ClientOf, start_live: Callable[..., LiveServer], tmp_path: Path
) -> None:
    path = tmp_path / "live.sock"
    start_live(path=path)

    async def go() -> object:
        base = f"http+unix://{str(path).replace('/', '%2F')}"
        async with client_of(base) as client, client.websocket("/live") as socket:
            await socket.send("hello")
            return await socket.receive()

    assert uvloop.run(go()) == "hello"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make certificates")
@pytest.mark.parametrize(("certificate", "kind"), [("fine", ""), ("expired", "tls")])
def test_a_websocket_goes_over_tls_and_verifies_the_server(
    client_of: ClientOf,
    start_live: Callable[..., LiveServer],
    certificates: dict[str, Path],
    served_with: ServedWith,
    certificate: str,
    kind: str,
) -> None:
    server = start_live(tls=served_with(certificates[certificate]))

    async def go() -> str:
        base = f"https://localhost:{server.port}"
        async with (
            client_of(base, ca_bundle=certificates["ca"]) as client,
            client.websocket("/live") as socket,
        ):
            assert socket.is_open == (kind == "")
            return socket.error_kind

    assert uvloop.run(go()) == kind


def test_handshake_and_named_messages_are_samples_of_the_run(
    start_live: Callable[..., LiveServer], start_run: StartRun
) -> None:
    server = start_live()
    run = start_run(
        f"http://127.0.0.1:{server.port}",
        rate=20,
        duration_s=1,
        names={"WS /live": 1.0},
        scenario=SCENARIO,
    )
    run.begin()
    assert run.wait() == 0, run.output()
    samples = run.samples
    assert len(samples) == 60
    names, kinds = words(samples.name), words(samples.error_kind)
    assert set(words(samples.method)) == {"WS"}
    waits: dict[str, list[float]] = {}
    for name, kind, status, step, seconds in zip(
        names, kinds, samples.status, samples.step, samples.response_time_s, strict=True
    ):
        assert (kind, status, step) == {
            "WS /live": ("", 101, 1),
            "WS answer": ("", 0, 2),
            "WS silence": ("timeout", 0, 3),
        }[name]
        waits.setdefault(name, []).append(float(seconds))
    # The answer counts from the send: no less than what the server took.
    assert min(waits["WS answer"]) >= 0.099
    assert min(waits["WS silence"]) >= 0.049
    assert server.closed(20) == [1000] * 20


def words(labels: Labels) -> list[str]:
    return [labels.words[code] for code in labels.codes]
