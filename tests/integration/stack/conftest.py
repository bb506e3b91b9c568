"""A stack small enough to start often, with one real server of every kind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from surgeproof.journal.folder import RunFolder
from surgeproof.stack import ProcessStack, read_definition

# One process of the test's own: it answers 200 on /readyz, its environment on /environment, and
# stops on SIGTERM because Python does by default.
ECHO = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path in ("/readyz", "/environment")
        told = {name: value for name, value in os.environ.items() if "APP_" in name}
        told |= {name: value for name, value in os.environ.items() if "SURGEPROOF" in name}
        body = json.dumps(told).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

print("echo begins", flush=True)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["APP_PORT"])), Echo).serve_forever()
"""

# A seed that needs no driver: it appends to a file each time that it runs, and asks the server to
# make a table through the harness's own few lines of wire protocol.
SEED = """
import sys
from urllib.parse import urlsplit
import os
from surgeproof.stack.postgres_wire import execute

url = urlsplit(os.environ["APP_DATABASE_URL"])
with open(sys.argv[1], "a", encoding="utf-8") as runs:
    runs.write(sys.argv[2] + "\\n")
execute(url.port, url.username, url.path[1:], "CREATE TABLE seeded AS SELECT " + sys.argv[2])
"""

ENVOY = """
admin: {address: {socket_address: {address: 127.0.0.1, port_value: {port:entry-admin}}}}
node: {id: test, cluster: test}
static_resources:
  listeners:
    - name: entry
      address: {socket_address: {address: 127.0.0.1, port_value: {port:entry}}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": {type}.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: entry
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": {type}.http.router.v3.Router
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes: [{match: {prefix: /}, route: {cluster: echo}}]
  clusters:
    - name: echo
      type: EDS
      eds_cluster_config:
        eds_config:
          resource_api_version: V3
          path_config_source: {path: "{eds_dir}/echo.yaml", watched_directory: {path: "{eds_dir}"}}
""".replace("{type}", "type.googleapis.com/envoy.extensions.filters")

STACK = """
name = "small"
entry = "entry"
edges = "edges.toml"

[seed]
command = ["{python}", "{folder}/seed.py", "{folder}/seed-runs", "{seed}"]
digest = ["seed.py"]
timeout = "30s"

[servers.database]
kind = "postgres"
database = "small"
[servers.cache]
kind = "redis"
[servers.stream]
kind = "nats"
[servers.proxies]
kind = "toxiproxy"

[processes.echo]
command = ["{python}", "{folder}/echo.py"]
ready = "/readyz"

[servers.entry]
kind = "envoy"
config = "envoy.yaml"
clusters = { echo = ["echo"] }
"""

EDGES = """
[[edge]]
name = "echo-pg"
from = "echo"
to = "database"
timeout = "250ms"

[[edge]]
name = "echo-cache"
from = "echo"
to = "cache"
timeout = "50ms"

[[edge]]
name = "echo-stream"
from = "echo"
to = "stream"
timeout = "50ms"
"""

# Only what a test of failures needs: it starts in a fraction of a second.
ONLY_ECHO = """
name = "only-echo"
entry = "echo"

[processes.echo]
command = ["{python}", "{folder}/echo.py"]
ready = "/readyz"
ready_timeout = "10s"
"""


@dataclass
class WatchfulGuardian:
    """Wraps nothing, and keeps account of who was started and who was said to be gone."""

    wrapped: list[str] = field(default_factory=list)
    gone_pids: list[int] = field(default_factory=list)

    def wrap(self, command: Sequence[str], name: str) -> list[str]:
        self.wrapped.append(name)
        return list(command)

    def gone(self, pid: int) -> None:
        self.gone_pids.append(pid)


@dataclass(frozen=True)
class Workshop:
    """Makes stacks in a folder of the test's own."""

    folder: Path
    cache: Path
    guardian: WatchfulGuardian
    others: frozenset[int] = field(
        default_factory=lambda: frozenset(
            one.pid for one in psutil.Process().children(recursive=True)
        )
    )

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text.replace("{folder}", str(self.folder)), encoding="utf-8")
        return path

    def stack(
        self,
        text: str = STACK,
        *,
        seed: int = 1,
        env: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> tuple[ProcessStack, RunFolder]:
        run_folder = RunFolder.create(self.folder / "runs", "small", datetime.now(UTC))
        stack = ProcessStack(
            read_definition(self.write("stack.toml", text)),
            seed=seed,
            run_folder=run_folder,
            guardian=self.guardian,
            env=env or {},
            environ=environ,
            cache_dir=self.cache,
        )
        return stack, run_folder


@pytest.fixture(scope="session")
def cache_dir() -> Iterator[Path]:
    # Not `tmp_path`: that lies in a folder which the database's user cannot pass.
    path = Path(tempfile.mkdtemp(prefix="surgeproof-test-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def guardian() -> WatchfulGuardian:
    return WatchfulGuardian()


@pytest.fixture
def workshop(tmp_path: Path, cache_dir: Path, guardian: WatchfulGuardian) -> Workshop:
    made = Workshop(tmp_path, cache_dir, guardian)
    for name, text in (
        ("echo.py", ECHO),
        ("seed.py", SEED),
        ("envoy.yaml", ENVOY),
        ("edges.toml", EDGES),
    ):
        made.write(name, text)
    return made


@pytest.fixture
def whole_stack() -> str:
    return STACK


@pytest.fixture
def only_echo() -> str:
    return ONLY_ECHO
