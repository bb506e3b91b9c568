"""A rehearsal whose load comes from two workers, one of which is killed in the midst of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.full]

StartRehearsal = Callable[..., Any]

# The harness ends a generator within 4 s, and a stack of twelve processes within a few more.
GONE_S = 20.0


def test_a_rehearsal_goes_on_without_a_worker_that_died_and_says_so(
    short_plan: Path, tmp_path: Path, start_rehearsal: StartRehearsal
) -> None:
    rehearsal = start_rehearsal(short_plan, tmp_path / "runs", "--set", "load.workers=2")
    rehearsal.wait_for_event("steady.proved")
    workers = {
        event["generator"]: event["pid"]
        for event in rehearsal.events()
        if event["event"] == "generator.started"
    }
    assert set(workers) == {0, 1}
    os.kill(workers[1], signal.SIGKILL)
    code = rehearsal.wait()
    (lost,) = (event for event in rehearsal.events() if event["event"] == "generator.lost")
    assert lost["generator"] == 1
    assert lost["redealt_to"] == [0]
    arrivals = rehearsal.result()["arrivals"]
    assert arrivals["scheduled"] == 160
    assert arrivals["sent"] + arrivals["dropped"] == 160
    assert arrivals["dropped"] == lost["unknown"] > 0
    # Every arrival of unknown fate is dropped, and these are more than a generator may drop.
    assert code == 7
    assert rehearsal.reasons() == ["generator_unreliable"]
    assert any("worker 1 was lost" in note for note in rehearsal.result()["notes"])
    rehearsal.wait_for_nothing_left(GONE_S)
