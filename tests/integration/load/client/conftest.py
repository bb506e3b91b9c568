"""Hostile servers, certificates that are wrong, and a client to meet them with."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from surgeproof.load.client import Client
from surgeproof.load.engine import connected
from surgeproof.load.handover import LoadOrder
from surgeproof.model.plan import ArrivalPart, Load, Phase
from tests.integration.load.client.hostile import HostileServer

StartServer = Callable[..., HostileServer]
ServedWith = Callable[[Path], ssl.SSLContext]
ClientOf = Callable[..., AbstractAsyncContextManager[Client]]


class Someone:
    """A scenario that only holds the client."""

    client: Client

    async def prepare(self) -> None:
        """Nothing is needed."""


@asynccontextmanager
async def _client_of(
    base_url: str, *, ca_bundle: Path | None = None, connections: int = 10
) -> AsyncIterator[Client]:
    phase = Phase("one", 0.0, 1.0, (ArrivalPart("constant", {"rate": 1.0}),))
    load = Load(Path("s.py"), "locust", "request", (phase,), {}, connections=connections)
    scenario = Someone()
    order = LoadOrder(seed=1, base_url=base_url, load=load, ca_bundle=ca_bundle)
    async with connected(order, scenario, {}):  # type: ignore[arg-type]
        yield scenario.client


@pytest.fixture
def client_of() -> ClientOf:
    """Give a client for requests outside of arrivals, connected to a base URL for a while."""
    return _client_of


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start hostile servers; torn down whatever happens."""
    started: list[HostileServer] = []

    def start(**options: object) -> HostileServer:
        started.append(HostileServer(**options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make an authority (``ca``) and server certificates: fine, expired, wrong-host, self-signed.

    Each file holds certificate and key.
    """
    folder = tmp_path_factory.mktemp("certificates")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=30)

    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=authority of a test")  # fmt: skip
    openssl("req", "-x509", *new_key, "-keyout", "own.key", "-out", "own.crt", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")  # fmt: skip
    openssl("req", "-new", *new_key, "-keyout", "all.key", "-out", "all.csr",
            "-subj", "/CN=test")  # fmt: skip
    for name, host, days in (
        ("fine", "localhost", "2"),
        ("expired", "localhost", "-1"),
        ("wrong-host", "elsewhere.test", "2"),
    ):
        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{host}\n")
        openssl("x509", "-req", "-in", "all.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", days, "-extfile", f"{name}.ext",
                "-out", f"{name}.crt")  # fmt: skip
    made = {"ca": folder / "ca.pem"}
    for name, key in (
        ("fine", "all.key"),
        ("expired", "all.key"),
        ("wrong-host", "all.key"),
        ("self-signed", "own.key"),
    ):
        made[name] = folder / f"{name}.pem"
        crt = "own.crt" if name == "self-signed" else f"{name}.crt"
        made[name].write_text((folder / crt).read_text() + (folder / key).read_text())
    return made


@pytest.fixture
def served_with() -> ServedWith:
    """Return the TLS settings of a server that shows a certificate."""
    return _served_with


def _served_with(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context
