"""Packed samples, and the batches that they become in the journal."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from pathlib import Path

import numpy as np

from surgeproof.journal.samples import DROP_SCHEMA, SAMPLE_SCHEMA, read_drops, read_samples
from surgeproof.load.batches import drop_batch, sample_batch
from surgeproof.load.journal_sink import JournalSink
from surgeproof.load.recorder import OUTCOMES, Recorder, Words
from surgeproof.load.schedule import build_schedule
from surgeproof.model.plan import ArrivalPart, Load
from surgeproof.model.words import Outcome

MakeLoad = Callable[..., Load]
SHED = OUTCOMES.index(Outcome.SHED)


def fill(recorder: Recorder, *, session: int = 7, start_s: float = 1.5, step: int = 1) -> None:
    recorder.sample(
        1.0,
        start_s,
        nan,
        2.5,
        session,
        100,
        2_000_000_000_000,
        recorder.label("GET /a", "GET"),
        recorder.degraded.code("feed"),
        recorder.error_kinds.code("status_503"),
        1,
        step,
        503,
        SHED,
    )


def test_a_sample_comes_back_in_words() -> None:
    recorder = Recorder({"GET /a": "T0"})
    fill(recorder)
    (values,) = recorder.take().tolist()
    row = recorder.row(3, "surge", values)
    assert (row.intended_s, row.start_s, row.first_byte_s, row.end_s) == (1.0, 1.5, None, 2.5)
    assert (row.generator, row.session, row.step, row.attempt) == (3, 7, 1, 1)
    assert (row.name, row.method, row.tier, row.phase) == ("GET /a", "GET", "T0", "surge")
    assert (row.outcome, row.error_kind, row.degraded) == ("shed", "status_503", "feed")
    assert (row.status, row.sent_bytes, row.received_bytes) == (503, 100, 2_000_000_000_000)


def test_what_was_taken_is_taken_once() -> None:
    recorder = Recorder()
    fill(recorder)
    assert len(recorder.take()) == 1
    assert len(recorder.take()) == 0


def test_only_first_steps_are_arrivals_and_those_beyond_the_bound_are_late() -> None:
    recorder = Recorder(late_after_s=0.5)
    for start_s, step in ((1.5, 1), (1.6, 1), (nan, 1), (9.0, 2)):
        fill(recorder, start_s=start_s, step=step)
    recorder.take()
    assert (recorder.sent, recorder.late) == (3, 2)


def test_a_word_keeps_its_code() -> None:
    words = Words("")
    codes = [words.code(word) for word in ("a", "b", "a", "")]
    assert codes == [1, 2, 1, 0]
    assert words.words == ["", "a", "b"]


def test_batches_become_a_journal_that_reads_back(tmp_path: Path, make_load: MakeLoad) -> None:
    load = make_load(
        ("calm", 1, [ArrivalPart("constant", {"rate": 5})]),
        ("surge", 1, [ArrivalPart("constant", {"rate": 5})]),
        mixes={"default": {"GET /a": 1.0}},
    )
    schedule = build_schedule(load, 1)
    recorder = Recorder({"GET /a": "T0"})
    sink = JournalSink(tmp_path, 2)
    # Words seen later must not disturb batches written before.
    fill(recorder, session=1)
    sink.sample_batch(sample_batch(recorder.take(), recorder, ["calm", "surge"], 2))
    recorder.label("POST /b", "POST")
    recorder.error_kinds.code("reset")
    fill(recorder, session=2)
    sink.sample_batch(sample_batch(recorder.take(), recorder, ["calm", "surge"], 2))
    sink.drop_batch(drop_batch(np.array([0, 9]), schedule, recorder))
    sink.flush()
    samples, drops = read_samples(tmp_path), read_drops(tmp_path)
    sink.close()
    assert samples.session.tolist() == [1, 2]
    assert samples.generator.tolist() == [2, 2]
    assert np.isnan(samples.first_byte_s).all()
    assert samples.name.equal("GET /a").all()
    assert samples.tier.equal("T0").all()
    assert samples.phase.equal("surge").all()
    assert samples.outcome.equal("shed").all()
    assert samples.received_bytes.tolist() == [2_000_000_000_000] * 2
    assert drops.intended_s.tolist() == [0.1, 1.9]
    assert drops.phase.equal("calm").tolist() == [True, False]
    assert drops.tier.equal("T0").all()


def test_batches_have_the_journals_schema(make_load: MakeLoad) -> None:
    load = make_load(("calm", 1, [ArrivalPart("constant", {"rate": 5})]))
    recorder = Recorder()
    empty = sample_batch(recorder.take(), recorder, ["calm"], 0)
    assert empty.schema.equals(SAMPLE_SCHEMA)
    slots = np.empty(0, dtype=np.int64)
    assert drop_batch(slots, build_schedule(load, 1), recorder).schema.equals(DROP_SCHEMA)
