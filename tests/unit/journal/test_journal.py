"""What is written to the journal comes back, whole, also after a crash."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from surgeproof.errors import FormatError, UsageError
from surgeproof.journal.events import EventLog, read_events
from surgeproof.journal.folder import RunFolder
from surgeproof.journal.samples import (
    DROP_SCHEMA,
    SAMPLE_SCHEMA,
    BatchWriter,
    read_drops,
    read_samples,
)


class FakeClock:
    """A clock that stands still until told."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def utc_now(self) -> datetime:
        return datetime(2023, 7, 5, 23, 0, tzinfo=UTC)

    def sleep(self, duration_s: float) -> None:
        self.now += duration_s


def _row(intended_s: float, **changes: object) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(SAMPLE_SCHEMA.names)
    row |= {
        "intended_s": intended_s,
        "start_s": intended_s + 0.5,
        "end_s": intended_s + 2.0,
        "generator": 0,
        "session": 2**53 + 1,
        "step": 1,
        "attempt": 1,
        "name": "GET /",
        "outcome": "full",
        "status": 200,
        "sent_bytes": 10,
        "received_bytes": 20,
    }
    return row | changes


def test_samples_of_two_generators_come_back_in_order_of_intended_start(tmp_path):
    with BatchWriter(tmp_path / "samples-0.arrow", SAMPLE_SCHEMA) as writer:
        writer.add(_row(3.0, name="GET /a"))
        writer.flush()
        writer.add(_row(1.0, name="GET /b"))
    with BatchWriter(tmp_path / "samples-1.arrow", SAMPLE_SCHEMA) as writer:
        writer.add(_row(2.0, name="GET /c", generator=1))
    samples = read_samples(tmp_path)
    assert samples.intended_s.tolist() == [1.0, 2.0, 3.0]
    assert [samples.name.words[code] for code in samples.name.codes] == [
        "GET /b",
        "GET /c",
        "GET /a",
    ]
    assert samples.response_time_s.tolist() == [2.0, 2.0, 2.0]
    assert samples.service_time_s.tolist() == [1.5, 1.5, 1.5]


def test_null_is_a_gap_and_never_zero(tmp_path):
    with BatchWriter(tmp_path / "samples-0.arrow", SAMPLE_SCHEMA) as writer:
        writer.add(_row(1.0, end_s=None, items=None, items_full=20))
    samples = read_samples(tmp_path)
    assert np.isnan(samples.end_s[0])
    assert (samples.items[0], samples.items_full[0]) == (-1, 20)


def test_a_session_number_beyond_the_floats_survives(tmp_path):
    with BatchWriter(tmp_path / "samples-0.arrow", SAMPLE_SCHEMA) as writer:
        writer.add(_row(1.0))
    assert int(read_samples(tmp_path).session[0]) == 2**53 + 1


def test_a_stream_cut_by_a_kill_reads_up_to_its_last_whole_batch(tmp_path):
    path = tmp_path / "samples-0.arrow"
    with BatchWriter(path, SAMPLE_SCHEMA) as writer:
        writer.add(_row(1.0))
        whole = writer.flush()
        writer.add(_row(2.0))
        end = writer.flush()
    path.write_bytes(path.read_bytes()[: (whole + end) // 2])
    assert read_samples(tmp_path).intended_s.tolist() == [1.0]


def test_a_file_that_is_no_arrow_stream_is_named(tmp_path):
    (tmp_path / "samples-0.arrow").write_text("hello, this is text and no stream of batches")
    with pytest.raises(FormatError, match=r"samples-0\.arrow is no Arrow stream"):
        read_samples(tmp_path)


def test_no_samples_are_an_empty_table(tmp_path):
    assert (len(read_samples(tmp_path)), len(read_drops(tmp_path))) == (0, 0)


def test_drops_come_back_with_their_labels(tmp_path):
    with BatchWriter(tmp_path / "drops-0.arrow", DROP_SCHEMA) as writer:
        writer.add({"intended_s": 4.0, "name": "GET /", "tier": "T0", "phase": "surge"})
    drops = read_drops(tmp_path)
    assert (drops.intended_s.tolist(), drops.phase.words) == ([4.0], ("surge",))


def test_events_are_read_back_and_a_cut_line_is_left_out(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventLog(path, FakeClock(101.5), t0=100.0) as log:
        log.append("phase.started", phase="surge")
    with path.open("a") as file:
        file.write('{"t_s": 2.0, "wa')
    (event,) = read_events(path)
    assert (event.t_s, event.event, event.fields) == (1.5, "phase.started", {"phase": "surge"})


def test_an_unknown_event_is_refused(tmp_path):
    with (
        EventLog(tmp_path / "events.jsonl", FakeClock(), t0=0.0) as log,
        pytest.raises(ValueError, match="unknown event"),
    ):
        log.append("phase.exploded")


def test_events_before_the_load_get_negative_times_once_its_start_is_known(tmp_path):
    clock = FakeClock(100.0)
    with EventLog(tmp_path / "events.jsonl", clock, t0=100.0) as log:
        log.append("run.started")
        clock.now = 107.0
        log.rebase(110.0)
        clock.now = 111.0
        log.append("phase.started", phase="surge")
    assert [event.t_s for event in read_events(tmp_path / "events.jsonl")] == [-10.0, 1.0]


def test_a_full_disk_is_an_error_and_not_a_silent_gap():
    with (
        pytest.raises(OSError, match="No space left"),
        EventLog(Path("/dev/full"), FakeClock(), t0=0.0) as log,
    ):
        log.append("run.started")


def test_a_run_folder_carries_its_time_and_name_and_becomes_the_latest(tmp_path):
    folder = RunFolder.create(tmp_path, "launch day", datetime(2023, 7, 5, 23, tzinfo=UTC))
    assert folder.id.startswith("20230705T230000Z-launch-day-")
    assert folder.samples.is_dir()
    folder.point_latest()
    other = RunFolder.create(tmp_path, "launch day", datetime(2023, 7, 6, tzinfo=UTC))
    link = other.point_latest()
    assert link.resolve() == other.path


def test_a_json_file_is_written_whole_and_refuses_what_json_cannot_say(tmp_path):
    folder = RunFolder.create(tmp_path, "x", datetime(2023, 7, 5, tzinfo=UTC))
    folder.write_json("result.json", {"a": 1})
    assert json.loads(folder.result.read_text()) == {"a": 1}
    with pytest.raises(ValueError, match="JSON compliant"):
        folder.write_json("result.json", {"a": float("nan")})
    assert folder.read_json("result.json") == {"a": 1}


@pytest.mark.parametrize("make", [lambda p: p / "gone", lambda p: p], ids=["missing", "no events"])
def test_what_is_no_run_folder_is_refused(tmp_path, make):
    with pytest.raises(UsageError, match="folder"):
        RunFolder.open(make(tmp_path))
