"""A target that somebody else runs: any answer will do, and its certificate must be trusted."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from surgeproof.errors import TargetNotReadyError
from surgeproof.stack import ExternalTarget

pytestmark = pytest.mark.integration


@contextmanager
def answering(status: int, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[str]]]:
    tokens: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tokens.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name there)
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, tokens
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [200, 404, 503])
def test_any_answer_is_an_answer(status: int) -> None:
    with answering(status) as (port, tokens):
        target = ExternalTarget(f"http://127.0.0.1:{port}/", headers={"Authorization": "Bearer x"})
        with target as running:
            assert running.base_url == f"http://127.0.0.1:{port}"
            assert running.edges == {}
            assert running.toxiproxy_url is None
    assert tokens == ["Bearer x"]


def test_a_target_on_a_unix_socket_is_asked_there(tmp_path: Path) -> None:
    path = tmp_path / "target.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http+unix://{quote(str(path), safe='')}"
        with ExternalTarget(url, ready_timeout_s=5) as running:
            assert running.base_url == url
        thread.join()
    with pytest.raises(TargetNotReadyError, match="did not answer within"):
        ExternalTarget(url, ready_timeout_s=0.1).start()


def test_a_refused_connection_is_given_up_after_the_time_limit() -> None:
    with answering(200) as (port, _):
        pass
    with pytest.raises(TargetNotReadyError, match=r"did not answer within 0.2s: .*refused"):
        ExternalTarget(f"http://127.0.0.1:{port}", ready_timeout_s=0.2).start()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_counts_only_with_its_ca_bundle(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *names, *files], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with answering(200, tls) as (port, _):
        url = f"https://127.0.0.1:{port}"
        with ExternalTarget(url, ca_bundle=certificate) as running:
            assert running.base_url == url
        with pytest.raises(TargetNotReadyError, match="certificate that is not trusted"):
            ExternalTarget(url, ready_timeout_s=5.0).start()
