"""Fleets of real Locust processes against a server that counts, and what they journal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from surgeproof.journal.samples import read_drops, read_samples
from surgeproof.load.handover import LoadOrder, ready_file, write_start
from surgeproof.load.locust_process import (
    generator_environment,
    master_command,
    worker_command,
    worker_environment,
)
from surgeproof.load.schedule import Schedule, build_schedule
from surgeproof.model.plan import ArrivalPart, Load, Phase
from surgeproof.model.samples import Drops, Samples

PATIENCE_S = 60.0
POLL_S = 0.02

# Every request carries its arrival's number, so that the server can tell one sent twice.
SCENARIO = """
from surgeproof.load import OpenLoopUser, journey
from surgeproof.load.journeys import CURRENT_ARRIVAL


class Someone(OpenLoopUser):
    @journey("GET /a")
    async def read(self):
        await self.client.get(f"/a/{CURRENT_ARRIVAL.get().index}")

    @journey("POST /b")
    async def write(self):
        index = CURRENT_ARRIVAL.get().index
        await self.client.post(f"/b/{index}", json={})
        self.ledger.write("post", str(index), "ok")
"""


class CountingServer:
    """Answers everything with 200 and remembers each path and its headers."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.seen: Counter[str] = Counter()
        self.heads: list[bytes] = []
        self.moments: list[tuple[str, float]] = []
        self._listener = socket.create_server((host, 0), backlog=512)
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http://{host}:{port}"

    @property
    def arrivals(self) -> Counter[int]:
        """How often each arrival of the schedule was seen."""
        return Counter({int(path.rpartition("/")[2]): n for path, n in self.seen.items()})

    def close(self) -> None:
        # A thread that waits in accept is woken by this, and not by closing alone.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)

    def _accept(self) -> None:
        talks = []
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                break
            self._open.add(connection)
            talks.append(threading.Thread(target=self._talk, args=(connection,), daemon=True))
            talks[-1].start()
        for talk in talks:
            talk.join(10)

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            data = b""
            while chunk := connection.recv(65536):
                data += chunk
                while b"\r\n\r\n" in data:
                    head, _, data = data.partition(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                    while len(data) < int(length or 0):
                        data += connection.recv(65536)
                    data = data[int(length or 0) :]
                    path = head.split(b" ")[1].decode()
                    self.moments.append((path, time.monotonic()))
                    self.heads.append(head)
                    self.seen[path] += 1
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        self._open.discard(connection)


@dataclass
class Fleet:
    """A master, its workers and the run that they make."""

    order: LoadOrder
    order_path: Path
    port: int
    within: Sequence[str] = ()
    headers: dict[str, str] = field(default_factory=dict)
    master: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        assert self.order.samples is not None
        return self.order.samples

    def start_master(self, *more: str, csv: Path | None = None) -> None:
        command = [*self.within, *master_command(self.order, self.port, csv=csv), *more]
        environment = generator_environment(os.environ, self.order_path, self.headers)
        self.master = self._start("master", command, environment)

    def start_worker(
        self, *, within: Sequence[str] | None = None, master_host: str | None = None
    ) -> subprocess.Popen[bytes]:
        command = [*(self.within if within is None else within)]
        command += worker_command(self.order, self.port)
        if master_host is not None:
            command[command.index("--master-host") + 1] = master_host
        name = f"worker-{len(self.workers)}"
        self.workers.append(self._start(name, command, worker_environment(os.environ)))
        return self.workers[-1]

    def _start(
        self, name: str, command: Sequence[str], environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        with (self.order_path.parent / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def begin(self, lead_s: float = 0.3) -> float:
        """Wait until all are prepared, then tell the master to start; return t0."""
        self.wait_until(ready_file(self.folder, 0).exists, "ready")
        t0 = time.monotonic() + lead_s
        write_start(self.folder, t0)
        return t0

    def wait_until(self, holds: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert self.master is not None
            assert self.master.poll() is None, f"ended before {what}:\n{self.log('master')}"
            assert time.monotonic() < deadline, f"no {what}:\n{self.log('master')}"
            time.sleep(POLL_S)

    def wait(self) -> int:
        assert self.master is not None
        return self.master.wait(PATIENCE_S)

    def log(self, name: str) -> str:
        return (self.order_path.parent / f"{name}.log").read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / "fleet.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def pulses(self, worker: int) -> list[dict[str, Any]]:
        path = self.folder / f"pulse-{worker}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    @property
    def schedule(self) -> Schedule:
        return build_schedule(self.order.load, self.order.seed)

    @property
    def samples(self) -> Samples:
        return read_samples(self.folder)

    @property
    def drops(self) -> Drops:
        return read_drops(self.folder)

    def close(self) -> None:
        for process in (self.master, *self.workers):
            if process is None:
                continue
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.fixture
def make_server() -> Iterator[Callable[..., CountingServer]]:
    with ExitStack() as opened:

        def make(host: str = "127.0.0.1") -> CountingServer:
            made = CountingServer(host)
            opened.callback(made.close)
            return made

        yield make


@pytest.fixture
def server(make_server: Callable[..., CountingServer]) -> CountingServer:
    return make_server()


MakeFleet = Callable[..., Fleet]


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[MakeFleet]:
    """Prepare a fleet for a steady load; torn down whatever happens."""
    with ExitStack() as opened:

        def make(
            url: str,
            *,
            rate: float = 100,
            duration_s: float = 4,
            workers: int = 2,
            within: Sequence[str] = (),
            headers: dict[str, str] | None = None,
            scenario: str = SCENARIO,
        ) -> Fleet:
            file = tmp_path / "scenario.py"
            file.write_text(scenario)
            phase = Phase("one", 0.0, duration_s, (ArrivalPart("constant", {"rate": rate}),))
            mixes = {"default": {"GET /a": 3.0, "POST /b": 1.0}}
            load = Load(file, "locust", "request", (phase,), mixes, workers=workers)
            samples = tmp_path / "run" / "samples"
            samples.mkdir(parents=True)
            order = LoadOrder(
                seed=7, base_url=url, load=load, samples=samples, ledger_kinds=("post",)
            )
            path = samples.parent / "load.json"
            path.write_text(order.to_json())
            fleet = Fleet(order, path, _free_port(), within, headers or {})
            opened.callback(fleet.close)
            return fleet

        yield make


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
