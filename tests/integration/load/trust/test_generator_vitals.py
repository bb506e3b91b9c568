"""A real generator tells of its own health; what it waited for is told from a slow target."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgeproof.journal.pulses import read_pulses
from surgeproof.model.result import ClientWaits, GeneratorHealth
from surgeproof.slo.accounting import count_arrivals
from surgeproof.slo.generators import count_error_kinds, count_waits, describe_generators
from surgeproof.slo.health import GeneratorSigns, assess_generator

pytestmark = pytest.mark.integration

# What the conftest's fixtures make; its classes cannot be imported from here.
Target = Any
StartRun = Callable[..., Any]

STALL_S = 0.8

FEED_SCENARIO = """
from pathlib import Path
from surgeproof.load import Feed, OpenLoopUser, journey


class Someone(OpenLoopUser):
    people = Feed.csv(Path(__file__).with_name("people.csv"))

    @journey("GET /a")
    async def read(self):
        person = self.people.unique()
        await self.client.get(f"/a/{person['handle']}")
"""


def judged(run: Any) -> tuple[GeneratorHealth, ClientWaits]:
    """Judge a run as the harness does."""
    samples, load = run.samples, run.order.load
    processes = describe_generators(read_pulses(run.folder), samples)
    waits = count_waits(samples, processes, late_after_s=load.late_after_s)
    arrivals = count_arrivals(
        samples,
        run.drops,
        unit=load.unit,
        scheduled=len(samples) + len(run.drops),
        schedule_sha256="",
        late_after_s=load.late_after_s,
    )
    signs = GeneratorSigns(processes, waits, count_error_kinds(samples))
    return assess_generator(arrivals, load, signs, smallest_gated_limit_s=None), waits


def test_each_line_of_the_pulse_has_the_vitals(target: Target, start_run: StartRun) -> None:
    run = start_run(target.url, duration_s=2)
    run.begin()
    assert run.wait() == 0, run.output()
    last = json.loads(run.lines("pulse")[-1])
    assert last["end"]
    assert 0 < last["busy_ratio"] <= 1
    assert 0 < last["files_used"] <= last["files_most"] < last["files_limit"]
    assert last["ports_most"] > 0
    assert last["ports_limit"] > 1000
    assert last["gc_pauses"] >= 0
    assert last["waited"] == 0


@pytest.mark.parametrize(
    ("connections", "is_limited"),
    [pytest.param(2, True, id="two connections"), pytest.param(1000, False, id="plenty")],
)
def test_a_stalled_target_limits_a_client_that_is_short_of_connections_only(
    target: Target, start_run: StartRun, connections: int, is_limited: bool
) -> None:
    run = start_run(target.url, rate=100, duration_s=2, connections=connections)
    run.begin()
    target.stall_s = STALL_S
    target.stall_at = run.t0 + 0.5
    assert run.wait() == 0, run.output()
    health, waits = judged(run)
    assert waits.is_limited is is_limited
    assert waits.response_time.max is not None
    assert waits.response_time.max > STALL_S / 2
    advice = f"raise load.connections above {connections}"
    assert any(advice in each for each in health.advice) is is_limited
    if is_limited:
        assert not health.healthy


def test_every_arrival_takes_its_own_row_of_a_feed_until_there_are_no_more(
    target: Target, start_run: StartRun, tmp_path: Path
) -> None:
    handles = [f"p{number}" for number in range(80)]
    (tmp_path / "people.csv").write_text("handle\n" + "\n".join(handles) + "\n")
    run = start_run(
        target.url, rate=100, duration_s=1, names={"GET /a": 1.0}, scenario=FEED_SCENARIO
    )
    run.begin()
    assert run.wait() == 0
    asked = {path: count for path, count in target.seen.items() if path.startswith("/a/")}
    assert asked == {f"/a/{handle}": 1 for handle in handles}
    assert len(run.drops) == 20
    assert "people.csv is used up: it has 80 rows" in run.output()
