"""The reference stack while it is measured: how fast it comes up, what it holds, what it counts."""

from __future__ import annotations

import json
import re
import socket
import statistics
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from surgeproof.journal.folder import RunFolder
from surgeproof.stack import ProcessStack, RunningStack, read_definition

__all__ = ["AppStack", "Session", "running_app"]

_STACK_FILE = Path("target_app/stack.toml")
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_TIMEOUT_S = 10.0
_PASSWORD = "launch-day"  # noqa: S105  # of the generated accounts


class _NoGuardian:
    """The measurement takes its stacks down itself."""

    def wrap(self, command: Sequence[str], name: str) -> list[str]:
        """Return the command as it is."""
        del name
        return list(command)

    def gone(self, pid: int) -> None:
        """Forget nothing."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in."""

    handle: str
    user_id: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AppStack:
    """The running stack; ``ready_s`` is how long its start took."""

    stack: RunningStack
    ready_s: float

    def pss_mb(self) -> float:
        """Return the memory of all its processes, what they share counted once."""
        total_kb = 0
        for _, pid in self.stack.processes:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            found = _PSS.search(text)
            total_kb += int(found[1]) if found else 0
        return total_kb / 1024

    def counted(self, process: str, sample: str) -> float:
        """Return the sum of a process's samples whose names begin so."""
        page = _fetch(self.stack.metrics_urls[process])
        return sum(
            float(line.rpartition(" ")[2])
            for line in page.decode().splitlines()
            if line.startswith(sample)
        )

    def dependency_calls(self) -> float:
        """Return all calls over edges so far, but for those of the worker."""
        return sum(
            self.counted(name, "app_edge_requests_total")
            for name in self.stack.metrics_urls
            if name not in {"worker", "autoscaler"} and name not in self._servers()
        )

    def log_in(self, number: int) -> Session:
        """Log one of the seeded accounts in."""
        handle = f"u{number:05d}"
        body = json.dumps({"handle": handle, "password": _PASSWORD}).encode()
        answer = json.loads(self.ask("/v1/sessions", body=body))
        headers = {"Authorization": f"Bearer {answer['token']}"}
        return Session(handle, answer["user_id"], headers)

    def ask(
        self, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> bytes:
        """Send one request to the entry and return its answer's body."""
        return _fetch(self.stack.base_url + path, headers, body)

    def hop_cost_ms(self, rounds: int = 2000) -> float:
        """Return by how much the median round trip to a Redis grows through its proxy."""
        proxied = self.stack.edges["feed-timeline"].port
        direct = self.stack.ports["redis-timeline"]
        return (_median_ping_s(proxied, rounds) - _median_ping_s(direct, rounds)) * 1000

    def _servers(self) -> frozenset[str]:
        return frozenset(server.name for server in read_definition(_STACK_FILE).servers)


@contextmanager
def running_app(
    folder: Path, cache: Path, env: Mapping[str, str] | None = None
) -> Iterator[AppStack]:
    """Start the stack of 10,000 users; ``cache`` holds its seeded database, or will."""
    stack = ProcessStack(
        read_definition(_STACK_FILE),
        seed=1,
        run_folder=RunFolder.create(folder, "bench", datetime.now(UTC)),
        guardian=_NoGuardian(),
        env=env or {},
        cache_dir=cache,
    )
    started_s = time.monotonic()
    with stack as up:
        yield AppStack(up, time.monotonic() - started_s)


def _fetch(url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> bytes:
    sent = {"Content-Type": "application/json"} | dict(headers or {})
    request = urllib.request.Request(url, body, sent)  # noqa: S310  # http, on loopback
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        text: bytes = answer.read()
    return text


def _median_ping_s(port: int, rounds: int) -> float:
    times_s = []
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(rounds):
            started_s = time.perf_counter()
            link.sendall(b"PING\r\n")
            link.recv(64)
            times_s.append(time.perf_counter() - started_s)
    return statistics.median(times_s)
