"""The identity and graph processes on real servers, each edge behind a real proxy."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from surgeproof.journal.folder import RunFolder
from surgeproof.stack import ProcessStack, RunningStack, read_definition

STACK_FILE = Path(__file__).parents[3] / "target_app" / "stack.toml"
PROCESSES = ("identity", "graph")
SERVERS = ("postgres", "redis-cache", "toxiproxy")


@dataclass(frozen=True)
class Answer:
    """One answer with the time that it took; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: dict[str, object]
    took_s: float

    def number(self, name: str) -> int:
        value = self.body[name]
        assert isinstance(value, int)
        return value

    def rows(self, name: str) -> list[dict[str, object]]:
        value = self.body[name]
        assert isinstance(value, list)
        return value


@dataclass(frozen=True)
class Backend:
    """The running processes, and how to break what is below them."""

    stack: RunningStack

    def call(
        self, process: str, method: str, path: str, body: object = None, **headers: str
    ) -> Answer:
        """Send one request to a process, past the proxies of its callers."""
        connection = HTTPConnection("127.0.0.1", self.stack.ports[process], timeout=10)
        started = time.monotonic()
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {"Content-Type": "application/json"}
                | {name.replace("_", "-"): value for name, value in headers.items()},
            )
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        took_s = time.monotonic() - started
        is_json = response.headers.get_content_type().endswith("json")
        decoded = json.loads(text) if is_json else {"text": text.decode()}
        sent = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, sent, decoded, took_s)

    def user_id(self, handle: str) -> int:
        return self.call("identity", "GET", f"/internal/users/by-handle/{handle}").number("user_id")

    def metrics(self, process: str) -> str:
        return str(self.call(process, "GET", "/metrics").body["text"])

    @contextmanager
    def toxic(self, edge: str, kind: str, **attributes: int) -> Iterator[None]:
        """Add a toxic to an edge's proxy for as long as the block runs."""
        toxic = {"name": "test", "type": kind, "attributes": attributes}
        self._proxy("POST", f"/proxies/{edge}/toxics", toxic)
        try:
            yield
        finally:
            self._proxy("DELETE", f"/proxies/{edge}/toxics/test")

    @contextmanager
    def down(self, edge: str) -> Iterator[None]:
        """Close an edge's proxy and all connections through it, until the block ends."""
        self._proxy("POST", f"/proxies/{edge}", {"enabled": False})
        try:
            yield
        finally:
            self._proxy("POST", f"/proxies/{edge}", {"enabled": True})

    def wait_until_full(self, process: str, method: str, path: str, body: object = None) -> float:
        """Return after how many seconds an answer is a full success again, at most ten."""
        started = time.monotonic()
        while (waited_s := time.monotonic() - started) < 10:
            answer = self.call(process, method, path, body)
            if answer.status < 300 and "degraded" not in answer.headers:
                break
            time.sleep(0.02)
        return waited_s

    def wait_until_whole(self) -> None:
        """Wait until every edge works again, so that tests do not meet each other's faults."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            # Nobody has these ids: the answers come from the database, never from a cache.
            answers = (
                self.call("graph", "GET", "/internal/users/0/profile"),
                self.call("identity", "GET", "/internal/users/0"),
            )
            edges = [
                edge
                for process in PROCESSES
                for edge in self.call(process, "GET", "/healthz/deps").body.values()
            ]
            is_whole = all(isinstance(edge, dict) and edge["state"] == "ok" for edge in edges)
            if is_whole and all(answer.status == 404 for answer in answers):
                return
            time.sleep(0.02)
        raise AssertionError(f"the backend has not recovered: {edges}")

    def _proxy(self, method: str, path: str, body: object = None) -> None:
        assert self.stack.toxiproxy_url is not None
        address = urlsplit(self.stack.toxiproxy_url)
        assert address.hostname is not None
        connection = HTTPConnection(address.hostname, address.port, timeout=10)
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        assert response.status < 300, response.read()
        connection.close()


class NoGuardian:
    """These stacks are taken down by their fixture."""

    def wrap(self, command: Sequence[str], name: str) -> list[str]:
        return list(command)

    def gone(self, pid: int) -> None: ...


@contextmanager
def running(folder: Path, cache: Path, env: dict[str, str]) -> Iterator[Backend]:
    whole = read_definition(STACK_FILE)
    definition = replace(
        whole,
        entry="graph",
        servers=tuple(each for each in whole.servers if each.name in SERVERS),
        processes=tuple(each for each in whole.processes if each.name in PROCESSES),
        edges=tuple(each for each in whole.edges if each.source in PROCESSES),
    )
    stack = ProcessStack(
        definition,
        seed=7,
        run_folder=RunFolder.create(folder, "backend", datetime.now(UTC)),
        guardian=NoGuardian(),
        env=env,
        cache_dir=cache,
    )
    with stack as up:
        yield Backend(up)


@pytest.fixture(scope="session")
def backend_cache() -> Iterator[Path]:
    # Not a folder of pytest's: the database's user cannot pass those.
    path = Path(tempfile.mkdtemp(prefix="surgeproof-test-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def session_backend(
    tmp_path_factory: pytest.TempPathFactory, backend_cache: Path
) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("runs"), backend_cache, {}) as backend:
        yield backend


@pytest.fixture
def backend(session_backend: Backend) -> Backend:
    session_backend.wait_until_whole()
    return session_backend


@pytest.fixture
def backend_without_fallback(tmp_path: Path, backend_cache: Path) -> Iterator[Backend]:
    with running(tmp_path, backend_cache, {"APP_FALLBACK_OFF": "graph-pg"}) as backend:
        yield backend
