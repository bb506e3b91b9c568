"""Runs of plain locustfiles by the schedule, against the target of the load tests."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from surgeproof.journal.samples import read_drops, read_samples
from surgeproof.load.handover import LoadOrder, ready_file, write_start
from surgeproof.load.locust_process import generator_environment
from surgeproof.load.plain import DRIVER_FILE
from surgeproof.model.plan import ArrivalPart, Load, Phase
from surgeproof.model.samples import Drops, Samples

# A generator starts in about a second; the machine may be busy with other suites.
PATIENCE_S = 60.0
LEAD_S = 0.3


@dataclass
class PlainRun:
    """A Locust process under an order, and what it journals."""

    order: LoadOrder
    process: subprocess.Popen[str]
    csv: Path
    t0: float = 0.0
    said: str = ""

    @property
    def folder(self) -> Path:
        assert self.order.samples is not None
        return self.order.samples

    def wait(self) -> int:
        """Start the prepared generator and wait for its end."""
        deadline = time.monotonic() + PATIENCE_S
        while not ready_file(self.folder, 0).exists():
            if self.process.poll() is not None:
                break
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.t0 = time.monotonic() + LEAD_S
        write_start(self.folder, self.t0)
        self.said += self.process.communicate(timeout=PATIENCE_S)[0]
        return self.process.returncode

    @property
    def samples(self) -> Samples:
        return read_samples(self.folder)

    @property
    def drops(self) -> Drops:
        return read_drops(self.folder)

    def pulses(self) -> list[str]:
        return (self.folder / "pulse-0.jsonl").read_text().splitlines()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A bundle that vouches for localhost, and a server's context with its key."""
    key, bundle = tmp_path / "key.pem", tmp_path / "ca.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(bundle), "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle, key)
    return bundle, context


StartPlain = Callable[..., PlainRun]


@pytest.fixture
def start_plain(tmp_path: Path) -> Iterator[StartPlain]:
    """Start Locust with a plain locustfile and our driver beside it; torn down in the end."""
    started: list[PlainRun] = []

    def start(
        url: str,
        locustfile: str,
        *,
        rate: float = 50,
        duration_s: float = 2,
        unit: str = "request",
        client: str = "locust",
        mix: dict[str, float] | None = None,
        has_csv: bool = False,
        ca_bundle: Path | None = None,
        **bounds: object,
    ) -> PlainRun:
        file = tmp_path / "mine.py"
        file.write_text(locustfile)
        phase = Phase("one", 0.0, duration_s, (ArrivalPart("constant", {"rate": rate}),))
        mixes = {"default": mix} if mix else {}
        load = Load(file, "locust", unit, (phase,), mixes, client=client, **bounds)  # type: ignore[arg-type]
        samples = tmp_path / "run" / "samples"
        samples.mkdir(parents=True)
        order = LoadOrder(seed=7, base_url=url, load=load, samples=samples, ca_bundle=ca_bundle)
        path = samples.parent / "load.json"
        path.write_text(order.to_json())
        csv = tmp_path / "locust"
        command = [
            *(sys.executable, "-m", "locust", "-f", f"{file},{DRIVER_FILE}", "--headless"),
            *("--users", "1", "--host", url, "--exit-code-on-error", "0"),
            # Locust writes these files by the second, and a run waits for them.
            *(("--csv", str(csv)) if has_csv else ()),
        ]
        environment = generator_environment(os.environ, path, {"X-Secret": "hush"})
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(PlainRun(order, process, csv))
        return started[-1]

    yield start
    for run in started:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
        if run.process.stdout is not None:
            run.process.stdout.close()
