"""A real master and real workers on one host: one schedule, whoever comes and goes."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.integration

# What the conftest's fixtures make; its classes cannot be imported from here.
CountingServer = Any
MakeFleet = Callable[..., Any]

# Leave goes 4 s ahead, and a late joiner's share begins where the others' leave ends.
LEAVE_S = 4.0


def assert_counts_add_up(fleet: Any) -> None:
    """Every arrival of the schedule is sent or dropped, and none is both or twice."""
    samples, drops, times_s = fleet.samples, fleet.drops, fleet.schedule.times_s
    assert len(samples) + len(drops) == len(times_s)
    assert len(np.unique(samples.session)) == len(samples)
    told_s = np.sort(np.concatenate([samples.intended_s, drops.intended_s]))
    np.testing.assert_allclose(told_s, times_s, atol=1e-6)
    (ended,) = fleet.events("ended")
    assert ended["due"] == len(times_s)


def test_two_workers_send_one_schedule_exactly_and_journal_it_as_local_generators(
    server: CountingServer, make_fleet: MakeFleet, tmp_path: Path
) -> None:
    fleet = make_fleet(server.url, headers={"X-Secret": "s3cret"})
    fleet.start_master(csv=tmp_path / "locust")
    for _ in range(2):
        fleet.start_worker()
    fleet.begin()
    assert fleet.wait() == 0, fleet.log("master")
    assert [worker.wait(10) for worker in fleet.workers] == [0, 0]
    # At the server: each arrival once, and no other.
    assert server.arrivals == dict.fromkeys(range(400), 1)
    assert all(b"X-Secret: s3cret" in head for head in server.heads)
    # In the journal.
    assert_counts_add_up(fleet)
    samples = fleet.samples
    assert np.bincount(samples.generator).tolist() == [200, 200]
    assert set(samples.session[samples.generator == 0] % 2) == {0}
    assert set(samples.outcome.words) == {"full"}
    for worker in (0, 1):
        last = fleet.pulses(worker)[-1]
        assert last["end"] is True
        assert (last["scheduled"], last["sent"], last["dropped"]) == (200, 200, 0)
        assert {"clock_offset_s", "clock_uncertainty_s"} <= last.keys()
    written = [len((fleet.folder / f"ledger-{n}.jsonl").read_text().splitlines()) for n in (0, 1)]
    assert sum(written) == int(samples.name.equal("POST /b").sum())
    # Secrets travel by message alone.
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"s3cret" not in path.read_bytes(), path
    # Both read one clock, and the master says so of each.
    started = fleet.events("generator.started")
    assert {event["generator"] for event in started} == {0, 1}
    assert all(event["shares_clock"] and event["clock_offset_s"] == 0 for event in started)
    # Locust's own statistics are the workers' together.
    with (tmp_path / "locust_stats.csv").open() as file:
        rows = {(row["Type"], row["Name"]): row for row in csv.DictReader(file)}
    for name in ("GET /a", "POST /b"):
        mine = int(samples.name.equal(name).sum())
        assert int(rows[tuple(name.split(" "))]["Request Count"]) == mine  # type: ignore[index]


def test_a_worker_that_is_killed_loses_its_last_second_and_the_rest_is_dealt_again(
    server: CountingServer, make_fleet: MakeFleet
) -> None:
    fleet = make_fleet(server.url, duration_s=6)
    fleet.start_master()
    for _ in range(2):
        fleet.start_worker()
    fleet.begin()
    fleet.wait_until(lambda: len(fleet.samples) >= 150, "two seconds of samples")
    fleet.workers[0].kill()
    assert fleet.wait() == 0, fleet.log("master")
    assert_counts_add_up(fleet)
    (lost,) = fleet.events("generator.lost")
    survivor = 1 - lost["generator"]
    assert lost["pid"] == fleet.workers[0].pid
    assert lost["reason"] == "its process has ended"
    assert lost["redealt_to"] == [survivor]
    # What is not known of is the victim's, from its last shipment to the cut-off, and counted.
    drops, samples = fleet.drops, fleet.samples
    assert len(drops) == lost["unknown"] == fleet.events("ended")[0]["unknown"] > 0
    # What was under way at the last shipment is among them; an answer takes no half second.
    assert drops.intended_s.min() > lost["last_acknowledged_s"] - 0.5
    assert drops.intended_s.max() < lost["redealt_from_s"]
    # Before it, each had every other slot; after it, the survivor has them all.
    after = samples.intended_s >= lost["redealt_from_s"]
    assert set(samples.generator[after]) == {survivor}
    assert after.sum() == (fleet.schedule.times_s >= lost["redealt_from_s"]).sum()
    assert max(server.arrivals.values()) == 1


def test_a_worker_that_joins_late_has_its_share_from_the_next_cut_off_on(
    server: CountingServer, make_fleet: MakeFleet
) -> None:
    fleet = make_fleet(server.url, duration_s=9, workers=1)
    fleet.start_master()
    fleet.start_worker()
    fleet.begin()
    fleet.start_worker()
    assert fleet.wait() == 0, fleet.log("master")
    assert_counts_add_up(fleet)
    assert len(fleet.drops) == 0
    joined = next(one for one in fleet.events("generator.started") if one["generator"] == 1)
    samples = fleet.samples
    before = samples.intended_s < joined["from_s"]
    assert joined["from_s"] >= LEAVE_S
    assert set(samples.generator[before]) == {0}
    shares = np.bincount(samples.generator[~before])
    assert abs(int(shares[0]) - int(shares[1])) <= 1
    assert server.arrivals == dict.fromkeys(range(900), 1)


@pytest.mark.full
def test_a_worker_that_stands_still_is_missed_and_taken_back(
    server: CountingServer, make_fleet: MakeFleet
) -> None:
    fleet = make_fleet(server.url, duration_s=16)
    fleet.start_master()
    for _ in range(2):
        fleet.start_worker()
    fleet.begin()
    fleet.wait_until(lambda: len(fleet.samples) >= 150, "two seconds of samples")
    fleet.workers[0].send_signal(signal.SIGSTOP)
    fleet.wait_until(lambda: fleet.events("generator.lost"), "the loss")
    fleet.workers[0].send_signal(signal.SIGCONT)
    assert fleet.wait() == 0, fleet.log("master")
    (lost,) = fleet.events("generator.lost")
    assert lost["reason"] == "nothing was heard of it"
    back = [one for one in fleet.events("generator.started") if one["from_s"] > 0]
    assert [one["generator"] for one in back] == [lost["generator"]]
    # What it had leave for it sends late, all the rest others have sent: nothing is missing.
    assert_counts_add_up(fleet)
    assert len(fleet.drops) == 0
    assert server.arrivals == dict.fromkeys(range(1600), 1)


def test_a_stop_ends_all_workers_at_one_moment_of_the_schedule(
    server: CountingServer, make_fleet: MakeFleet
) -> None:
    fleet = make_fleet(server.url, duration_s=60)
    fleet.start_master()
    for _ in range(2):
        fleet.start_worker()
    fleet.begin()
    fleet.wait_until(lambda: len(fleet.samples) >= 80, "a second of samples")
    fleet.master.terminate()
    assert fleet.wait() == 0, fleet.log("master")
    (ended,) = fleet.events("ended")
    times_s = fleet.schedule.times_s
    assert ended["due"] == int((times_s < ended["end_s"]).sum()) < len(times_s)
    assert sorted(fleet.samples.session) == list(range(ended["due"]))
    assert server.arrivals == dict.fromkeys(range(ended["due"]), 1)
    assert [worker.wait(10) for worker in fleet.workers] == [0, 0]


def test_a_scenario_that_cannot_be_prepared_ends_the_run_before_it_begins(
    server: CountingServer, make_fleet: MakeFleet
) -> None:
    scenario = """
from surgeproof.errors import TargetNotReadyError
from surgeproof.load import OpenLoopUser, journey


class Someone(OpenLoopUser):
    async def prepare(self):
        raise TargetNotReadyError("nobody can log in")

    @journey("GET /a")
    async def read(self): ...

    @journey("POST /b")
    async def write(self): ...
"""
    fleet = make_fleet(server.url, scenario=scenario)
    fleet.start_master()
    for _ in range(2):
        fleet.start_worker()
    assert fleet.wait() == 6, fleet.log("master")
    assert "nobody can log in" in fleet.log("master")
    assert not fleet.events("generator.started")
    assert server.seen == {}
