"""The master's journal: what workers ship, and what nobody has told the fate of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from surgeproof.errors import FormatError
from surgeproof.journal.samples import DROP_SCHEMA, SAMPLE_SCHEMA, read_drops, read_samples
from surgeproof.load.fleet.dealing import Dealing, Epoch
from surgeproof.load.fleet.fleet_journal import FleetJournal
from surgeproof.load.fleet.messages import Shipment
from surgeproof.load.fleet.shipment import pack, unpack
from surgeproof.load.schedule import Schedule
from surgeproof.model.plan import ArrivalPart, Phase

PHASE = Phase("one", 0.0, 10.0, (ArrivalPart("constant", {"rate": 1.0}),))
NAME = "GET /a"


def schedule_of(times_s: list[float]) -> Schedule:
    count = len(times_s)
    zeros = np.zeros(count, dtype=np.int16)
    return Schedule(np.array(times_s), zeros, zeros, (PHASE,), (NAME,), is_named=True)


SCHEDULE = schedule_of([0.5, 1.5, 2.5, 2.5, 3.5, 4.5])


def samples(*sessions: int, worker: int = 0, step: int = 1) -> bytes:
    rows = [
        dict.fromkeys(SAMPLE_SCHEMA.names)
        | {"session": session, "generator": worker, "step": step, "attempt": 1}
        | {"intended_s": float(SCHEDULE.times_s[session]), "name": NAME, "outcome": "full"}
        for session in sessions
    ]
    return pack([pa.RecordBatch.from_pylist(rows, schema=SAMPLE_SCHEMA)])


def drops(*moments_s: float) -> bytes:
    rows = [{"intended_s": each, "name": NAME, "tier": "T0", "phase": "one"} for each in moments_s]
    return pack([pa.RecordBatch.from_pylist(rows, schema=DROP_SCHEMA)])


def shipment(number: int = 1, **fields: object) -> Shipment:
    return Shipment("r", number, 1.0, 0.0, **fields)  # type: ignore[arg-type]


def test_shipments_of_several_workers_read_as_those_of_local_generators(tmp_path: Path) -> None:
    journal = FleetJournal(tmp_path, SCHEDULE, {NAME: "T0"})
    journal.take(0, shipment(samples=samples(0), ledger=['{"kind": "post"}'], pulse=["{}"]))
    journal.take(3, shipment(samples=samples(1, worker=3), drops=drops(3.5)))
    journal.take(0, shipment(2, samples=samples(4), pulse=["{}"]))
    # What was taken can be read before anything is closed.
    found = read_samples(tmp_path)
    assert found.session.tolist() == [0, 1, 4]
    assert found.generator.tolist() == [0, 3, 0]
    assert read_drops(tmp_path).intended_s.tolist() == [3.5]
    assert (tmp_path / "ledger-0.jsonl").read_text() == '{"kind": "post"}\n'
    assert (tmp_path / "pulse-0.jsonl").read_text() == "{}\n{}\n"
    journal.close()


def test_arrivals_that_nobody_told_of_are_dropped_at_the_end(tmp_path: Path) -> None:
    journal = FleetJournal(tmp_path, SCHEDULE, {NAME: "T0"})
    journal.take(0, shipment(samples=samples(0, 2), drops=drops(1.5)))
    assert journal.finish(4.0) == 2
    journal.close()
    found = read_drops(tmp_path)
    assert sorted(found.intended_s.tolist()) == [1.5, 2.5, 3.5]
    assert set(found.name.words) == {NAME}
    assert set(found.tier.words) == {"T0"}
    assert set(found.phase.words) == {"one"}
    assert journal.due(4.0) == 5 == len(read_samples(tmp_path)) + len(found)


def test_drops_at_one_moment_are_counted_one_by_one() -> None:
    journal = FleetJournal(None, SCHEDULE, {})
    journal.take(0, shipment(drops=drops(2.5)))
    journal.take(0, shipment(2, drops=drops(2.5)))
    assert journal.finish(3.0) == 2  # those of 0.5 and 1.5


def test_two_drops_at_one_moment_in_one_shipment_are_two() -> None:
    journal = FleetJournal(None, SCHEDULE, {})
    journal.take(0, shipment(drops=drops(2.5, 2.5, 0.5)))
    assert journal.finish(3.0) == 1


def test_a_workers_unknown_arrivals_are_those_dealt_to_it_that_it_has_not_told_of() -> None:
    journal = FleetJournal(None, SCHEDULE, {})
    dealing = Dealing().then(Epoch(0.0, (0, 1)))
    journal.take(1, shipment(samples=samples(1)))
    assert journal.unknown(1, dealing, 4.0) == 1  # slot 3; slot 5 is later
    assert journal.unknown(0, dealing, 4.0) == 3


def test_later_steps_of_a_session_tell_of_no_other_arrival() -> None:
    journal = FleetJournal(None, SCHEDULE, {})
    journal.take(0, shipment(samples=samples(0)))
    journal.take(0, shipment(2, samples=samples(0, step=2)))
    assert journal.finish(2.0) == 1


def test_events_are_lines_that_the_harness_can_follow(tmp_path: Path) -> None:
    journal = FleetJournal(tmp_path, SCHEDULE, {})
    journal.event("generator.lost", generator=1, unknown=3)
    line = json.loads((tmp_path / "fleet.jsonl").read_text())
    assert line == {"event": "generator.lost", "generator": 1, "unknown": 3}
    journal.close()


@pytest.mark.parametrize("data", [b"no stream", drops(0.5)], ids=["noise", "other columns"])
def test_a_shipment_of_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="a shipment"):
        unpack(data, SAMPLE_SCHEMA)
