"""k6 generators on scripts and loads of a test's own, judged at the server as well."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from surgeproof.journal.samples import read_drops, read_samples
from surgeproof.load.handover import LoadOrder, ready_file, write_start
from surgeproof.load.k6 import LIBRARY, k6_command, k6_read_back_command
from surgeproof.load.k6.report import K6Report
from surgeproof.load.k6.thresholds import carry_gates
from surgeproof.load.locust_process import generator_environment
from surgeproof.load.schedule import Schedule, build_schedule
from surgeproof.model.plan import ArrivalPart, Gate, Load, Phase
from surgeproof.model.samples import Drops, Samples

PATIENCE_S = 60.0


@dataclass
class K6Run:
    """One k6 generator and its journal."""

    order: LoadOrder
    path: Path
    process: subprocess.Popen[str]
    t0: float = 0.0

    @property
    def folder(self) -> Path:
        assert self.order.samples is not None
        return self.order.samples

    @property
    def schedule(self) -> Schedule:
        return build_schedule(self.order.load, self.order.seed)

    @property
    def samples(self) -> Samples:
        return read_samples(self.folder)

    @property
    def drops(self) -> Drops:
        return read_drops(self.folder)

    @property
    def report(self) -> K6Report:
        (report,) = K6Report.read_all(self.folder)
        return report

    def lines(self, kind: str) -> list[dict[str, Any]]:
        text = (self.folder / f"{kind}-0.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def begin(self, lead_s: float = 0.3) -> None:
        """Wait until the script is prepared, then tell it to start."""
        deadline = time.monotonic() + PATIENCE_S
        while not ready_file(self.folder, 0).exists():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.t0 = time.monotonic() + lead_s
        write_start(self.folder, self.t0)

    def finish(self) -> int:
        """Start, and return the exit code."""
        self.begin()
        return self.process.wait(PATIENCE_S)

    def output(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def k6(self) -> psutil.Process:
        """Return the k6 process itself."""
        (child,) = psutil.Process(self.process.pid).children()
        return child

    def read_back(self) -> dict[str, dict[str, list[int | None]]]:
        environment = generator_environment(os.environ, self.path, {})
        command = k6_read_back_command(self.path)
        subprocess.run(command, env=environment, check=True, timeout=PATIENCE_S)
        text = (self.folder.parent / "read_back.json").read_text(encoding="utf-8")
        found: dict[str, dict[str, list[int | None]]] = json.loads(text)
        return found


@pytest.fixture
def start_k6(tmp_path: Path) -> Iterator[Callable[..., K6Run]]:
    """Start k6 on a script for phases of (seconds, arrivals); torn down whatever happens."""
    started: list[K6Run] = []

    def start(
        url: str,
        script: str,
        *phases: tuple[float, ArrivalPart],
        names: dict[str, float] | None = None,
        unit: str = "request",
        ledger_kinds: tuple[str, ...] = (),
        gates: tuple[Gate, ...] = (),
        **bounds: Any,
    ) -> K6Run:
        number = len(started)
        file = tmp_path / f"scripts-{number}" / "script.js"
        file.parent.mkdir()
        file.write_text(script.replace("@LIBRARY@", str(LIBRARY)), encoding="utf-8")
        made: list[Phase] = []
        for length_s, part in phases or ((1.0, ArrivalPart("constant", {"rate": 5})),):
            start_s = made[-1].window.end_s if made else 0.0
            made.append(Phase(f"p{len(made)}", start_s, length_s, (part,)))
        mixes = {} if names is None else {"default": names}
        load = Load(file, "k6", unit, tuple(made), mixes, **bounds)
        samples = tmp_path / f"run-{number}" / "samples"
        samples.mkdir(parents=True)
        order = LoadOrder(
            seed=5, base_url=url, load=load, samples=samples, ledger_kinds=ledger_kinds
        )
        path = samples.parent / "load.json"
        path.write_text(order.to_json(), encoding="utf-8")
        carry_gates(gates, build_schedule(load, 5)).write(path.parent)
        process = subprocess.Popen(
            k6_command(path),
            env={**generator_environment(os.environ, path, {}), "TARGET": url},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(K6Run(order, path, process))
        return started[-1]

    yield start
    for run in started:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
        if run.process.stdout is not None:
            run.process.stdout.close()
