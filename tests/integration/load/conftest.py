"""A target of a few lines that can stall, and runs of real generators against it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from surgeproof.journal.samples import read_drops, read_samples
from surgeproof.load.handover import LoadOrder, ready_file, write_start
from surgeproof.load.k6 import k6_command
from surgeproof.load.locust_process import generator_environment, locust_command
from surgeproof.model.plan import ArrivalPart, Load, Phase
from surgeproof.model.samples import Drops, Samples

# A generator starts in about a second; the machine may be busy with other suites.
PATIENCE_S = 60.0

SCENARIO = """
from surgeproof.load import OpenLoopUser, journey


class Someone(OpenLoopUser):
    async def prepare(self):
        answer = await self.client.get("/prepare")
        assert answer.is_served, answer.error_kind

    @journey("GET /a")
    async def read(self):
        await self.client.get("/a")

    @journey("POST /b", weight=0.5)
    async def write(self):
        key = f"{self.random.getrandbits(64):x}"
        answer = await self.client.post(f"/b/{key}", json={"key": key})
        self.ledger.write("post", key, "ok" if answer.is_served else "info")

    async def read_back(self, kind, key):
        answer = await self.client.get(f"/count/{key}")
        return int(answer.text)
"""

K6_SCENARIO = """
import http from "k6/http";
import { arrival, baseUrl, ledger, send, writeOutcome } from "%s";
export default function () {
  const { index, journey } = arrival();
  if (journey !== "POST /b") { send(journey, journey.split(" ")[1]); return; }
  const response = send(journey, `/b/k${index}`, { body: { index } });
  ledger("post", `k${index}`, writeOutcome(response));
}
export function readBack(data, kind, key) {
  return JSON.parse(http.get(`${baseUrl}/count/${key}`).body);
}
"""


class Target:
    """An HTTP/1.1 server in a thread of its own; a stall holds up everything in it."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.seen: Counter[str] = Counter()
        self.headers: list[bytes] = []
        self.stall_at: float | None = None
        self.stall_s = 0.0
        self.status = b"200 OK"
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._bound = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._bound.wait(10)

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://localhost:{self.port}"

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = listener.getsockname()[1]
        start = asyncio.start_server(self._talk, sock=listener, ssl=self._tls)
        server = self._loop.run_until_complete(start)
        self._bound.set()
        self._loop.run_forever()
        server.close()
        for writer in self._open:
            writer.transport.abort()
        # A turn for each connection to notice that it has ended.
        self._loop.run_until_complete(asyncio.sleep(0.05))
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self._answer(head, writer)
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        if self.stall_at is not None and time.monotonic() >= self.stall_at:
            self.stall_at = None
            time.sleep(self.stall_s)  # on purpose: the whole loop stands still
        path = request.split(b" ")[1].decode()
        self.seen[path] += 1
        self.headers.append(request)
        body = b"{}"
        if path.startswith("/count/"):
            body = str(self.seen["/b/" + path.removeprefix("/count/")]).encode()
        length = str(len(body)).encode()
        head = b"HTTP/1.1 " + self.status + b"\r\nContent-Length: " + length + b"\r\n\r\n"
        # In one piece: the second of two small writes would wait for an acknowledgement (Nagle).
        writer.write(head + body)


@pytest.fixture
def make_target() -> Iterator[Callable[..., Target]]:
    made: list[Target] = []

    def make(tls: ssl.SSLContext | None = None) -> Target:
        made.append(Target(tls))
        return made[-1]

    yield make
    for target in made:
        target.close()


@pytest.fixture
def target(make_target: Callable[..., Target]) -> Target:
    return make_target()


@dataclass
class Run:
    """A generator process and what it journals."""

    order: LoadOrder
    process: subprocess.Popen[str]
    t0: float = 0.0
    log: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        assert self.order.samples is not None
        return self.order.samples

    def begin(self, lead_s: float = 0.3) -> None:
        """Wait until the generator is prepared, then tell it to start."""
        deadline = time.monotonic() + PATIENCE_S
        while not ready_file(self.folder, self.order.generator).exists():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.t0 = time.monotonic() + lead_s
        write_start(self.folder, self.t0)

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    def output(self) -> str:
        assert self.process.stdout is not None
        self.log.append(self.process.stdout.read())
        return "".join(self.log)

    @property
    def samples(self) -> Samples:
        return read_samples(self.folder)

    @property
    def drops(self) -> Drops:
        return read_drops(self.folder)

    def lines(self, kind: str) -> list[str]:
        return (self.folder / f"{kind}-{self.order.generator}.jsonl").read_text().splitlines()


StartRun = Callable[..., Run]

# What of a run's settings belongs to its load, all else to the order.
LOAD_SETTINGS = {"connections", "max_in_flight", "workers", "timeouts", "late_after_s"}


@pytest.fixture
def start_run(tmp_path: Path) -> Iterator[StartRun]:
    """Start a generator for a load of one phase; torn down whatever happens."""
    started: list[Run] = []

    def start(
        url: str,
        *,
        rate: float = 50,
        duration_s: float = 3,
        engine: str = "locust",
        names: dict[str, float] | None = None,
        headers: dict[str, str] | None = None,
        csv: Path | None = None,
        scenario: str | None = None,
        file: Path | None = None,
        **settings: object,
    ) -> Run:
        if file is None:
            file = tmp_path / ("scenario.js" if engine == "k6" else "scenario.py")
            library = Path(__file__).parents[3] / "scenarios" / "k6" / "surgeproof.js"
            default = K6_SCENARIO % library if engine == "k6" else SCENARIO
            file.write_text(scenario or default)
        phase = Phase("one", 0.0, duration_s, (ArrivalPart("constant", {"rate": rate}),))
        mixes = {"default": {"GET /a": 3.0, "POST /b": 1.0} if names is None else names}
        bounds = {name: settings.pop(name) for name in LOAD_SETTINGS & settings.keys()}
        load = Load(
            file,
            engine,
            "request",
            (phase,),
            mixes if mixes["default"] else {},
            **bounds,  # type: ignore[arg-type]
        )
        samples = tmp_path / "run" / "samples"
        samples.mkdir(parents=True)
        order = LoadOrder(
            seed=7,
            base_url=url,
            load=load,
            samples=samples,
            **{"ledger_kinds": ("post",), **settings},  # type: ignore[arg-type]
        )
        path = samples.parent / "load.json"
        path.write_text(order.to_json())
        command = k6_command(path) if engine == "k6" else locust_command(order, csv=csv)
        process = subprocess.Popen(
            command,
            env=generator_environment(os.environ, path, headers or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(Run(order, process))
        return started[-1]

    yield start
    for run in started:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
        if run.process.stdout is not None:
            run.process.stdout.close()
