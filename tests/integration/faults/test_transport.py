"""What becomes of a server's answers, and of answers that never come."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from surgeproof.errors import EnvironmentNotReadyError, FaultIndefiniteError, FaultRejectedError
from surgeproof.faults.toxiproxy import ToxiproxyServer

pytestmark = pytest.mark.integration


class Canned:
    """Answers every request with the same bytes, and keeps the requests."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.answer = b""
        self.requests: list[bytes] = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @property
    def server(self) -> ToxiproxyServer:
        port = self.listener.getsockname()[1]
        return ToxiproxyServer(f"http://127.0.0.1:{port}", read_s=1.0)

    def say(self, status: str, body: str, content_type: str = "text/plain") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
        head += f"Content-Length: {len(body)}\r\nX-Toxiproxy-Request-Id: r42\r\n\r\n"
        self.answer = (head + body).encode()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with client, contextlib.suppress(OSError):
                    self.requests.append(client.recv(65536))
                    client.sendall(self.answer)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@pytest.fixture
def canned() -> Iterator[Canned]:
    made = Canned()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        pytest.param(
            "409 Conflict",
            '{"error":"toxic already exists","status":409}\n',
            r"409 toxic already exists \(request r42\)",
            id="an error in JSON under a text header",
        ),
        pytest.param("400 Bad", '{"title":"bad request body"}', "400 bad request", id="before 2.1"),
        pytest.param("403 Forbidden", "User agent not allowed", "403 User agent", id="plain text"),
        pytest.param("405 Method Not Allowed", "", "405", id="empty body"),
        pytest.param(
            "500 Error", '{"error":"bind: address in use"}', "500 bind", id="bind failure"
        ),
    ],
)
def test_a_no_is_definite_and_carries_the_servers_words(
    canned: Canned, status: str, body: str, words: str
) -> None:
    canned.say(status, body)
    with pytest.raises(FaultRejectedError, match=words):
        canned.server.set_enabled("edge", enabled=False)


def test_a_503_is_indefinite_since_the_server_goes_on(canned: Canned) -> None:
    canned.say("503 Service Unavailable", "")
    with pytest.raises(FaultIndefiniteError, match="goes on"):
        canned.server.set_enabled("edge", enabled=False)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="closed without an answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", id="cut"),
        pytest.param(b"220 smtp.example ready\r\n", id="another protocol"),
    ],
)
def test_a_broken_answer_is_indefinite(canned: Canned, answer: bytes) -> None:
    canned.answer = answer
    with pytest.raises(FaultIndefiniteError):
        canned.server.set_enabled("edge", enabled=False)


def test_an_answer_of_another_shape_is_no_success(canned: Canned) -> None:
    canned.say("200 OK", "[1]")
    with pytest.raises(FaultIndefiniteError):
        canned.server.set_enabled("edge", enabled=False)
    with pytest.raises(FaultIndefiniteError):
        canned.server.proxies()


def test_an_agent_that_is_no_browser_and_a_path_that_is_escaped_are_sent(canned: Canned) -> None:
    canned.say("404 Not Found", "")
    assert canned.server.get_proxy("a/b c") is None
    assert canned.requests[0].startswith(b"GET /proxies/a%2Fb%20c HTTP/1.1\r\n")
    assert b"User-Agent: surgeproof/" in canned.requests[0]


def test_proxy_settings_of_the_environment_are_not_used(
    canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    canned.say("200 OK", '{"version": "2.12.0"}')
    assert canned.server.version() == "2.12.0"


def test_nothing_is_sent_to_a_port_that_nobody_listens_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = ToxiproxyServer(f"http://127.0.0.1:{port}")
    with pytest.raises(EnvironmentNotReadyError, match="does not answer"):
        server.add_toxic("edge", "timeout", {}, name="a")
    assert not server.running()
