"""A job in a folder of its own, and a small result."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import QUICK
from benchmarks.job import Job
from benchmarks.machine import Machine
from benchmarks.processes import Cores
from benchmarks.result import Result
from benchmarks.runs import Spread
from benchmarks.stall import ResponseTimes, Stall
from benchmarks.tables.closed import ClosedRow
from benchmarks.tables.ladder import LadderRow
from benchmarks.tables.memory import MemoryRow
from benchmarks.tables.open import OpenRow, WorkersPair
from benchmarks.tables.stalled import StallRow, truth_of
from benchmarks.tables.startup import StartupRow
from benchmarks.targets import Tables


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("http://127.0.0.1:1", tmp_path, 2.0, 100.0, 20)


def closed(tool: str, per_s: float) -> ClosedRow:
    return ClosedRow(tool, Spread(per_s, per_s - 1, per_s + 1), 10.0)


def opened(tool: str, lag_p99_s: float, cpu_ratio: float | None = 0.1) -> OpenRow:
    return OpenRow(
        tool=tool,
        rate_per_s=2000.0,
        held_per_s=2000.0,
        lag_p50_s=0.0,
        lag_p99_s=Spread(lag_p99_s, lag_p99_s, lag_p99_s),
        gap_error_p50_s=0.0,
        even_bins_ratio=0.999,
        worst_bin_ratio=1.3,
        cpu_s=1.0,
        cpu_ratio=cpu_ratio,
    )


@pytest.fixture
def tables() -> Tables:
    """Round numbers, so that each ratio can be worked out at sight."""
    return Tables(
        closed=(
            closed("surgeproof", 60_000.0),
            closed("surgeproof, an event each", 50_000.0),
            closed("surgeproof journeys, an event each", 20_000.0),
            closed("k6 1.8.1", 10_000.0),
            closed("k6 1.1", 12_000.0),
            closed("vegeta", 30_000.0),
            closed("FastHttpUser", 5000.0),
        ),
        open=(opened("surgeproof", 0.0002), opened("vegeta", 0.001), opened("k6 1.8.1", 0.0009)),
        workers=(
            WorkersPair(0.001, 0.003, 8000, 8000),
            WorkersPair(0.001, 0.001, 8000, 8000),
            WorkersPair(0.001, 0.0015, 7999, 8000),
        ),
        ladder=(
            LadderRow("surgeproof", 32_000.0, 48_000.0, 24_000.0, 0.75),
            LadderRow("vegeta", 6000.0, 8000.0, 2000.0, 0.33),
            LadderRow("vegeta, 500 workers", 8000.0, 12_000.0, 8000.0, 1.0),
            LadderRow("k6 1.8.1", None, 500.0, None, None),
        ),
        stall=(
            StallRow("surgeproof", ResponseTimes(1000, 0.0, 0.5, 0.95, 1.0), 1000, 200, 0.001),
            StallRow(
                "surgeproof, 5 connections", ResponseTimes(1000, 0.0, 0.6, 0.95, 1.0), 1000, 5, 0.2
            ),
        ),
        journey=(closed("surgeproof", 4000.0), closed("FastHttpUser", 1000.0)),
        startup=(StartupRow("surgeproof validate", Spread(0.2, 0.1, 0.3), 0.2),),
        memory=(MemoryRow("surgeproof", 10_000_000, 100_000_000, 101_000_000, 0.01),),
    )


@pytest.fixture
def result(tables: Tables) -> Result:
    machine = Machine(
        date="2026-01-02T03:04+00:00",
        system="Linux 6 x86_64",
        processor="Some CPU",
        cores=2,
        python="CPython 3.11.7",
        python_build="no PGO, GIL, GCC",
        timer="timerfd",
        versions={"surgeproof": "0.1.0"},
        peers={"vegeta": "12.13.0"},
    )
    return Result(
        command="python -m benchmarks",
        machine=machine,
        extent=QUICK,
        cores=Cores(0, 1),
        load_average=(0.1, 1.0),
        took_s=1.0,
        tables=tables,
        truth=truth_of(Stall(5.0, 1.0, 2.0), rate_per_s=200.0, duration_s=5.0),
        skipped={"oha": "oha 1.16.0 is not installed"},
    )
