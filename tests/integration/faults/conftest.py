"""A real Toxiproxy and a small TCP server behind it, per test, always torn down."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from surgeproof.faults.toxiproxy import EdgeProxy, ToxiproxyServer

# Generous: the machine may be busy with other tests. No assertion hangs on it.
START_S = 15.0
SOCKET_S = 10.0


def _find_server() -> str:
    beside = Path(sys.executable).parent / "toxiproxy-server"
    found = (
        os.environ.get("SURGEPROOF_TOXIPROXY_SERVER")
        or shutil.which("toxiproxy-server")
        or (str(beside) if beside.exists() else None)
    )
    if found is None:
        reason = (
            "no toxiproxy-server: neither SURGEPROOF_TOXIPROXY_SERVER nor on PATH nor installed"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class RealToxiproxy:
    """A running server: its process, its log, and a client of it."""

    process: subprocess.Popen[bytes]
    server: ToxiproxyServer
    port: int
    log: Path

    def wait_dead(self, limit_s: float = 10.0) -> int:
        return self.process.wait(limit_s)


class EchoServer:
    """Sends back what it gets; counts connections. On ``b"flood"`` it sends without end."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            while data := client.recv(65536):
                if data == b"flood":
                    while True:
                        client.sendall(bytes(65536))
                client.sendall(data)

    def close(self) -> None:
        # A plain close would leave the thread in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._open:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()
        self._thread.join(SOCKET_S)


@dataclass
class Toxiproxies:
    """Starts servers, as many as a test wants."""

    binary: str
    folder: Path
    started: list[RealToxiproxy] = field(default_factory=list)

    def start(self, *, port: int | None = None, ready: bool = True) -> RealToxiproxy:
        port = port or free_port()
        log = self.folder / f"toxiproxy-{len(self.started)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.binary, "-host", "127.0.0.1", "-port", str(port)],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        made = RealToxiproxy(process, ToxiproxyServer(f"http://127.0.0.1:{port}"), port, log)
        self.started.append(made)
        until = time.monotonic() + START_S
        while ready and not made.server.running():
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"toxiproxy did not start: {log.read_text()}")
            time.sleep(0.01)
        return made

    def stop(self) -> None:
        for each in self.started:
            # Killed: a server that a test has wedged would not heed SIGTERM.
            each.process.kill()
            each.process.wait(START_S)


@pytest.fixture
def toxiproxies(tmp_path: Path) -> Iterator[Toxiproxies]:
    made = Toxiproxies(_find_server(), tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def free_api_port() -> int:
    return free_port()


@pytest.fixture
def real(toxiproxies: Toxiproxies) -> RealToxiproxy:
    return toxiproxies.start()


@pytest.fixture
def server(real: RealToxiproxy) -> ToxiproxyServer:
    return real.server


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    made = EchoServer()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def proxy(server: ToxiproxyServer, echo: EchoServer) -> EdgeProxy:
    """A proxy ``edge`` before the echo server."""
    return server.create_proxy("edge", echo.address)


class Dial:
    """Makes connections through a proxy and closes them at the end of the test."""

    def __init__(self) -> None:
        self.open: list[socket.socket] = []

    def __call__(self, proxy: EdgeProxy) -> socket.socket:
        host, _, port = proxy.listen.rpartition(":")
        made = socket.create_connection((host, int(port)), timeout=SOCKET_S)
        self.open.append(made)
        return made


@pytest.fixture
def dial() -> Iterator[Dial]:
    made = Dial()
    try:
        yield made
    finally:
        for each in made.open:
            each.close()
