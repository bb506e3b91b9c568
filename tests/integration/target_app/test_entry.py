"""The real entry, configured as in the stack, before gateways that say who they are."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from surgeproof.journal.folder import RunFolder
from surgeproof.stack import ProcessStack, RunningStack, read_definition
from target_app.autoscaler import Fleet, ScalingPolicy
from target_app.clock import SystemClock
from target_app.drain import main as drain
from target_app.entry import find_endpoint_file

ENVOY = Path(__file__).parents[3] / "target_app" / "envoy.yaml"
# Each answers with its port and what it was sent; the load that it claims stands in a file.
GATEWAY = """\
import http.server, json, os, pathlib, socketserver

port = int(os.environ["APP_PORT"])
seen = []

class Gateway(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/metrics":
            load = pathlib.Path(os.environ["LOAD_FILE"]).read_text()
            body = f'app_http_in_flight{{service="gateway"}} {load}\\n'
        elif self.path == "/seen":
            body = json.dumps(seen)
        else:
            if self.path != "/readyz":
                seen.append([self.path, self.headers.get("X-Shadow")])
            body = str(port)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass

class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

Server(("127.0.0.1", port), Gateway).serve_forever()
"""
STACK = """\
name = "entry"
entry = "envoy"

[processes.gateway]
command = ["{python}", "GATEWAY"]
ready = "/readyz"
env = { LOAD_FILE = "LOAD" }

[processes.gateway-b]
command = ["{python}", "GATEWAY"]
ready = "/readyz"
env = { LOAD_FILE = "LOAD" }

[processes.other]
command = ["{python}", "GATEWAY"]
ready = "/readyz"
env = { LOAD_FILE = "LOAD" }

[servers.envoy]
kind = "envoy"
config = "ENVOY"
clusters = { gateway = ["gateway", "gateway-b"], photos = ["other"], shadow = ["other"] }
"""


class NoGuardian:
    """The stack is taken down by its fixture."""

    def wrap(self, command: Sequence[str], name: str) -> list[str]:
        return list(command)

    def gone(self, pid: int) -> None: ...


class Entry:
    """The running entry."""

    def __init__(self, stack: RunningStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder

    def get(self, path: str = "/v1/feed/home", name: str = "envoy", method: str = "GET") -> str:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.stack.ports[name]}{path}", method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # http
            text: str = answer.read().decode()
        return text

    def asked(self, count: int) -> Counter[str]:
        """Return who answered so many requests: a port, or the status of an error."""
        found: Counter[str] = Counter()
        for _ in range(count):
            try:
                found[self.get()] += 1
            except urllib.error.HTTPError as error:
                found[str(error.code)] += 1
        return found

    def port(self, name: str) -> str:
        return str(self.stack.ports[name])


@pytest.fixture
def entry(tmp_path: Path) -> Iterator[Entry]:
    script, load, stack_file = (tmp_path / name for name in ("gateway.py", "load", "stack.toml"))
    script.write_text(GATEWAY)
    load.write_text("0")
    text = STACK.replace("GATEWAY", str(script)).replace('LOAD"', f'{load}"')
    stack_file.write_text(text.replace("ENVOY", str(ENVOY)))
    run = RunFolder.create(tmp_path / "runs", "entry", datetime.now(UTC))
    stack = ProcessStack(
        read_definition(stack_file),
        seed=1,
        run_folder=run,
        guardian=NoGuardian(),
        cache_dir=tmp_path / "cache",
    )
    with stack as up:
        yield Entry(up, run.path)


def eventually(claim: Callable[[], bool], limit_s: float = 10.0) -> None:
    started = time.monotonic()
    while not claim():
        assert time.monotonic() - started < limit_s
        time.sleep(0.05)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process without ending it: its connections stay open, and nothing answers."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_gateway_that_hangs_is_ejected_after_a_handful_of_timeouts(entry: Entry) -> None:
    pids = dict(entry.stack.processes)
    assert set(entry.asked(20)) == {entry.port("gateway"), entry.port("gateway-b")}
    answers: Counter[str] = Counter()
    with frozen(pids["gateway-b"]):
        # Ten clients at once: least-request alone would keep a single one away from it.
        clients = [
            threading.Thread(target=lambda: answers.update(entry.asked(30))) for _ in range(10)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    errors = sum(count for answer, count in answers.items() if len(answer) == 3)
    # Five in a row eject it; the others were under way by then, one a client.
    assert 5 <= errors <= 15
    assert answers[entry.port("gateway")] >= 300 - 15
    eventually(lambda: entry.port("gateway-b") in entry.asked(10))


def test_a_shadow_stack_gets_marked_copies_from_when_it_is_switched_on(entry: Entry) -> None:
    entry.get("/v1/trending")
    assert entry.get("/seen", "other") == "[]"
    entry.get("/runtime_modify?shadow_percent=100", "envoy-admin", "POST")
    entry.asked(10)
    eventually(lambda: len(json.loads(entry.get("/seen", "other"))) == 10)
    assert json.loads(entry.get("/seen", "other")) == [["/v1/feed/home", "1"]] * 10
    primary = json.loads(entry.get("/seen", "gateway")) + json.loads(
        entry.get("/seen", "gateway-b")
    )
    assert {shadow for _, shadow in primary} == {None}


def test_the_other_app_has_a_cluster_of_its_own(entry: Entry) -> None:
    assert entry.get("/p/feed") == entry.port("other")
    for path in ("/", "/@ann", "/graphql", "/m/cdn-a/00"):
        assert entry.get(path) in {entry.port("gateway"), entry.port("gateway-b")}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        entry.get("/metrics")


def test_a_socket_is_upgraded_through_the_entry(entry: Entry) -> None:
    with closing(socket.create_connection(("127.0.0.1", entry.stack.ports["envoy"]), 5)) as link:
        link.sendall(
            b"GET /v1/live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        answer = link.recv(4096)
    # The stand-in knows no sockets and answers plainly: the upgrade was asked of it, not refused.
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_region_is_drained_in_steps_without_an_error(
    entry: Entry, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: Counter[str] = Counter()
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            answers.update(entry.asked(5))

    client = threading.Thread(target=ask)
    client.start()
    try:
        stack = str(entry.folder / "stack.json")
        code = drain(["--stack", stack, "--region", "b", "--steps", "50,10,0", "--hold", "0.3"])
    finally:
        is_over.set()
        client.join()
    assert code == 0, capsys.readouterr().err
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()[:3]] == [
        "b at 50%",
        "b at 10%",
        "b at 0%",
    ]
    assert set(answers) <= {entry.port("gateway"), entry.port("gateway-b")}
    assert set(entry.asked(20)) == {entry.port("gateway")}


def test_the_last_region_is_never_drained(entry: Entry, capsys: pytest.CaptureFixture[str]) -> None:
    with frozen(dict(entry.stack.processes)["gateway-b"]):
        code = drain(["--stack", str(entry.folder / "stack.json"), "--region", "a"])
    assert code == 1
    assert "no other region is ready" in capsys.readouterr().err
    assert find_endpoint_file(entry.stack.ports["envoy-admin"]).weights() == {
        entry.stack.ports["gateway"]: 1,
        entry.stack.ports["gateway-b"]: 1,
    }


def test_replicas_come_and_go_with_the_load_and_the_entry_knows_them(
    entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = tmp_path / "load"
    monkeypatch.setenv("LOAD_FILE", str(load))
    policy = ScalingPolicy("gateway", "app_http_in_flight", 10, most=3, stabilisation_s=0)
    fleet = Fleet(
        policy,
        entry.stack.ports["gateway"],
        find_endpoint_file(entry.stack.ports["envoy-admin"]),
        SystemClock(),
        (sys.executable, str(tmp_path / "gateway.py")),
    )
    try:
        load.write_text("25")
        fleet.step()
        wanted = {str(port) for port in fleet.ports}
        assert len(wanted) == 3
        eventually(lambda: set(entry.asked(30)) == wanted)
        load.write_text("0")
        fleet.step()
        assert list(fleet.ports) == [entry.stack.ports["gateway"]]
        assert set(entry.asked(10)) == {entry.port("gateway")}
    finally:
        fleet.close()
