"""The client against real sockets: what it sends, keeps and decodes, and whom it cannot reach.

About 5 seconds.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvloop

from surgeproof.load.client import Client, Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

    from tests.integration.load.client.conftest import ClientOf, ServedWith, StartServer

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture
def ask(client_of: ClientOf) -> Callable[..., Response]:
    """Send one GET, outside of any arrival."""

    def send(base_url: str, path: str = "/healthy", **settings: object) -> Response:
        async def go() -> Response:
            async with client_of(base_url, **settings) as client:
                return await client.get(path, timeout_s=5)

        return uvloop.run(go())

    return send


@pytest.fixture
def visit(client_of: ClientOf, start_server: StartServer) -> Callable[..., object]:
    """Let a coroutine use a client of a new hostile server; returns the server."""

    def run(steps: Callable[[Client], Awaitable[None]]) -> object:
        server = start_server()

        async def go() -> None:
            async with client_of(f"http://127.0.0.1:{server.port}") as client:
                await steps(client)

        uvloop.run(go())
        return server

    return run


@asynccontextmanager
async def serving(accept: Accept) -> AsyncIterator[int]:
    """Serve within the running loop for a while; gives the port."""
    writers: list[asyncio.StreamWriter] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await accept(reader, writer)

    server = await asyncio.start_server(note, "127.0.0.1", 0, limit=1000)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.02)  # for each connection to notice that it has ended


# -- nobody there --------------------------------------------------------------------------------


def test_an_unknown_host_is_told_from_a_refusal(ask: Callable[..., Response]) -> None:
    answer = ask("http://no-such-host.invalid")
    assert answer.error_kind == "dns"
    assert "no-such-host.invalid" in answer.detail


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_port_where_nobody_listens_refuses(ask: Callable[..., Response], host: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        answer = ask(f"http://{host}:{port}")
    if host == "[::1]" and answer.error_kind in {"unreachable", "ports"}:
        pytest.skip("this machine has no IPv6")
    assert answer.error_kind == "refused"
    assert (answer.status, str(port) in answer.detail) == (0, True)


def test_a_unix_socket_that_nobody_made_refuses(
    ask: Callable[..., Response], tmp_path: Path
) -> None:
    path = str(tmp_path / "none.sock").replace("/", "%2F")
    assert ask(f"http+unix://{path}").error_kind == "refused"


# -- other ways to a server ----------------------------------------------------------------------


def test_a_unix_socket_is_spoken_to(
    ask: Callable[..., Response], start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(path=tmp_path / "app.sock")
    path = str(tmp_path / "app.sock").replace("/", "%2F")
    assert ask(f"http+unix://{path}").json() == {"id": 1}
    assert "\r\nHost: localhost\r\n" in server.heads[0]


def test_an_ipv6_address_is_spoken_to(
    ask: Callable[..., Response], start_server: StartServer
) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = start_server(host="::1")
    assert ask(f"http://[::1]:{server.port}").status == 200
    assert f"\r\nHost: [::1]:{server.port}\r\n" in server.heads[0]


# -- certificates --------------------------------------------------------------------------------

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs openssl to make certificates"
)


@needs_openssl
def test_a_server_with_a_good_certificate_is_spoken_to(
    ask: Callable[..., Response],
    start_server: StartServer,
    certificates: dict[str, Path],
    served_with: ServedWith,
) -> None:
    server = start_server(tls=served_with(certificates["fine"]))
    answer = ask(f"https://localhost:{server.port}", ca_bundle=certificates["ca"])
    assert (answer.status, answer.error_kind) == (200, "")


@needs_openssl
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("expired", "expired"),
        ("wrong-host", "not valid for 'localhost'"),
        ("self-signed", "self-signed certificate"),
    ],
)
def test_a_certificate_that_cannot_be_trusted_fails_with_its_reason(
    ask: Callable[..., Response],
    start_server: StartServer,
    certificates: dict[str, Path],
    served_with: ServedWith,
    name: str,
    reason: str,
) -> None:
    server = start_server(tls=served_with(certificates[name]))
    answer = ask(f"https://localhost:{server.port}", ca_bundle=certificates["ca"])
    assert answer.error_kind == "tls"
    assert re.search(reason.replace("-", "[- ]"), answer.detail)
    assert not server.requests


def test_a_server_that_speaks_no_tls_is_a_tls_error(client_of: ClientOf) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def go() -> Response:
        async with serving(refuse) as port, client_of(f"https://127.0.0.1:{port}") as client:
            return await client.get("/", timeout_s=5)

    assert uvloop.run(go()).error_kind == "tls"


# -- what is sent --------------------------------------------------------------------------------


def test_bodies_of_every_kind_arrive_as_they_were_sent(visit: Callable[..., object]) -> None:
    async def steps(client: Client) -> None:
        answers = [
            await client.post("/echo", json={"a": "ü"}),
            await client.post("/echo", data={"a": "1 2"}),
            await client.post("/echo", data="text"),
            await client.post("/echo", data=b"\x00\x01"),
            await client.post("/echo", data=(b"piece %d, " % number for number in range(3))),
            await client.put("/echo", files={"f": ("f.txt", b"content", "text/plain")}),
        ]
        assert [answer.error_kind for answer in answers] == [""] * 6
        assert json.loads(answers[0].body) == {"a": "ü"}
        assert answers[1].body == b"a=1+2"
        assert answers[2].body == b"text"
        assert answers[3].body == b"\x00\x01"
        assert answers[4].body == b"piece 0, piece 1, piece 2, "
        assert b'filename="f.txt"' in answers[5].body
        sent = [answer.header("x-head") or "" for answer in answers]
        assert "Content-Type: application/x-www-form-urlencoded" in sent[1]
        assert "Transfer-Encoding: chunked" in sent[4]
        assert "Content-Length" not in sent[4]
        assert "multipart/form-data; boundary=" in sent[5]

    server = visit(steps)
    assert server.dialled == 1  # type: ignore[attr-defined]


def test_a_stream_is_asked_for_chunks_only_as_the_socket_takes_them(
    client_of: ClientOf,
) -> None:
    made = 0

    def chunks() -> object:
        nonlocal made
        for _ in range(1000):
            made += 1
            yield b"x" * 100_000

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(1)  # takes nothing more

    async def go() -> Response:
        async with serving(accept) as port, client_of(f"http://127.0.0.1:{port}") as client:
            return await client.post("/", data=chunks(), timeout_s=0.3)

    assert asyncio.run(go()).error_kind == "timeout"
    assert 0 < made < 500


def test_an_answer_in_the_midst_of_a_stream_ends_it_and_its_connection(
    client_of: ClientOf,
) -> None:
    dialled = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dialled
        dialled += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        while await reader.read(1 << 16):
            pass
        writer.close()

    async def go() -> list[int]:
        async with serving(accept) as port, client_of(f"http://127.0.0.1:{port}") as client:
            endless = (b"x" * 1000 for _ in range(10**9))
            first = await client.post("/", data=endless, timeout_s=5)
            second = await client.get("/", timeout_s=5)
        return [first.status, second.status]

    assert asyncio.run(go()) == [413, 413]
    assert dialled == 2


def test_a_stream_that_breaks_fails_its_request_and_says_so(visit: Callable[..., object]) -> None:
    def chunks() -> object:
        yield b"begin"
        raise RuntimeError("no more of it")

    async def steps(client: Client) -> None:
        answer = await client.post("/echo", data=chunks())
        assert (answer.status, answer.error_kind) == (0, "body")
        assert "no more of it" in answer.detail
        assert (await client.get("/healthy")).status == 200

    visit(steps)


# -- what comes back -----------------------------------------------------------------------------


def test_gzip_is_asked_for_and_undone(visit: Callable[..., object]) -> None:
    async def steps(client: Client) -> None:
        answer = await client.get("/gzip")
        assert answer.json() == {"text": "hello"}

    server = visit(steps)
    assert "\r\nAccept-Encoding: gzip, deflate\r\n" in server.heads[0]  # type: ignore[attr-defined]


def test_an_answer_that_is_no_utf8_can_be_read_all_the_same(visit: Callable[..., object]) -> None:
    async def steps(client: Client) -> None:
        answer = await client.get("/no-utf8")
        assert answer.is_served
        assert "\ufffd" in answer.text
        assert answer.header("X-Name") == "ÿþ"
        checked = await client.get("/no-utf8", check=lambda given: bool(given.json()))
        assert checked.error_kind == "check"

    visit(steps)


def test_cookies_are_kept_until_they_are_taken_back(visit: Callable[..., object]) -> None:
    async def steps(client: Client) -> None:
        await client.get("/echo")
        await client.get("/login")
        both = await client.get("/echo")
        own = await client.get("/echo", headers={"cookie": "mine=1"})
        await client.get("/logout")
        one = await client.get("/echo")
        assert "Cookie: session=abc; theme=dark" in (both.header("x-head") or "")
        assert "cookie: mine=1" in (own.header("x-head") or "")
        assert "session" not in (own.header("x-head") or "")
        assert "Cookie: theme=dark" in (one.header("x-head") or "")

    server = visit(steps)
    assert "cookie" not in server.heads[0].lower()  # type: ignore[attr-defined]


def test_redirects_are_followed_on_request_only(visit: Callable[..., object]) -> None:
    async def steps(client: Client) -> None:
        plain = await client.post("/see-other", data=b"x")
        assert (plain.status, plain.header("location")) == (303, "/echo")
        other = await client.post("/see-other", data=b"x", follow_redirects=True)
        assert (other.status, other.body) == (200, b"")
        assert (other.header("x-head") or "").startswith("GET /echo")
        same = await client.post("/temporary", data=b"again", follow_redirects=True)
        assert (same.status, same.body) == (200, b"again")
        stream = await client.post("/temporary", data=iter([b"once"]), follow_redirects=True)
        assert (stream.status, stream.error_kind) == (307, "redirect_refused")
        away = await client.get("/elsewhere", follow_redirects=True)
        assert (away.status, away.error_kind) == (302, "redirect_refused")
        assert "example.org" in away.detail

    visit(steps)


# -- the worst moments ---------------------------------------------------------------------------


def test_a_request_that_was_written_is_never_sent_again(visit: Callable[..., object]) -> None:
    """The server ends a kept connection just when the second request has come."""

    async def steps(client: Client) -> None:
        assert (await client.get("/once")).status == 200
        assert (await client.get("/once")).error_kind in {"closed", "reset"}
        assert (await client.get("/once")).status == 200

    server = visit(steps)
    assert server.requests["/once"] == 3  # type: ignore[attr-defined]


def test_a_connection_that_ended_while_idle_is_replaced_without_a_trace(
    client_of: ClientOf,
) -> None:
    requests = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        requests += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def go() -> list[str]:
        kinds = []
        async with serving(accept) as port, client_of(f"http://127.0.0.1:{port}") as client:
            for _ in range(5):
                kinds.append((await client.post("/", json={})).error_kind)
                await asyncio.sleep(0.02)  # for the end to be heard
        return kinds

    assert asyncio.run(go()) == [""] * 5
    assert requests == 5


DESCRIPTORS = """
    import asyncio, json, resource, sys
    from contextlib import ExitStack
    sys.path.insert(0, {repository!r})
    import uvloop
    from tests.integration.load.client.conftest import _client_of

    async def main():
        async with _client_of("http://{host}:{port}", connections=100) as client:
            first = await client.get("/healthy", timeout_s=5)
            spare = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            import os
            used = max(int(name) for name in os.listdir("/proc/self/fd"))
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + 8, spare))
            many = await asyncio.gather(
                *(client.get("/holds-back", timeout_s=1) for _ in range(40)),
            )
            resource.setrlimit(resource.RLIMIT_NOFILE, (spare, spare))
            last = await client.get("/healthy", timeout_s=5)
            lacking = [each for each in many if each.error_kind == "descriptors"]
            print(json.dumps([first.status, sorted({{each.error_kind for each in many}}),
                              lacking[0].detail if lacking else "", last.status]))

    uvloop.run(main())
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_running_out_of_descriptors_is_named_and_passes(
    start_server: StartServer, host: str
) -> None:
    server = start_server()
    code = textwrap.dedent(
        DESCRIPTORS.format(repository=str(REPOSITORY), host=host, port=server.port)
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    first, kinds, detail, last = json.loads(done.stdout.splitlines()[-1])
    assert (first, last) == (200, 200)
    assert kinds == ["descriptors", "timeout"]
    assert "open files" in detail or "known" in detail or "resolution" in detail
