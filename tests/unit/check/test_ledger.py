"""The ledger's classes, against answers worked out by hand."""

import json

import pytest

from surgeproof.check.ledger import Finding, Write, count_ledger, read_findings, read_writes
from surgeproof.errors import FormatError


def _count(writes, findings):
    return count_ledger(
        [Write("post", key, outcome) for key, outcome in writes],
        {"post": {key: Finding(*found) for key, found in findings.items()}},
        ["post"],
    )["post"]


def test_an_acknowledged_write_that_is_found_once_is_present():
    counts = _count([("a", "ok")], {"a": (1, 1)})
    assert (counts.acked, counts.present, counts.lost, counts.duplicated) == (1, 1, 0, 0)


def test_an_acknowledged_write_that_no_read_finds_is_lost_and_named():
    counts = _count([("a", "ok"), ("b", "ok")], {"a": (0, 0), "b": (1, 1)})
    assert (counts.acked, counts.present, counts.lost) == (2, 1, 1)
    assert counts.lost_keys == ("a",)


def test_an_acknowledged_write_found_only_by_a_later_read_is_stale_and_present():
    counts = _count([("a", "ok")], {"a": (0, 1)})
    assert (counts.stale, counts.present, counts.lost) == (1, 1, 0)


def test_one_key_found_twice_is_duplicated():
    counts = _count([("a", "ok")], {"a": (2, 2)})
    assert (counts.duplicated, counts.duplicated_keys) == (1, ("a",))


def test_an_indefinite_write_found_twice_is_duplicated_too():
    assert _count([("a", "info")], {"a": (2, 2)}).duplicated == 1


def test_an_indefinite_write_that_turns_up_is_recovered_and_one_that_does_not_is_not_lost():
    counts = _count([("a", "info"), ("b", "info")], {"a": (1, 1), "b": (0, 0)})
    assert (counts.indefinite, counts.recovered, counts.lost, counts.acked) == (2, 1, 0, 0)


def test_a_key_tried_again_after_a_timeout_counts_once_as_acknowledged():
    counts = _count([("a", "info"), ("a", "ok")], {"a": (1, 1)})
    assert (counts.acked, counts.indefinite) == (1, 0)


def test_an_acknowledged_write_that_was_never_read_is_unread_and_not_lost():
    counts = _count([("a", "ok"), ("b", "ok")], {"a": (None, None)})
    assert (counts.unread, counts.lost) == (2, 0)


def test_a_refused_write_counts_nowhere():
    counts = _count([("a", "fail")], {"a": (0, 0)})
    assert (counts.acked, counts.indefinite, counts.lost) == (0, 0, 0)


def test_a_declared_kind_without_writes_has_zero_acknowledged():
    assert count_ledger([], {}, ["post"])["post"].acked == 0


def test_writes_are_read_from_every_generator_and_a_cut_last_line_is_left_out(tmp_path):
    line = json.dumps({"t_s": 1.0, "kind": "post", "key": "a", "outcome": "ok"})
    (tmp_path / "ledger-0.jsonl").write_text(line + "\n" + line[:10])
    (tmp_path / "ledger-1.jsonl").write_text(line.replace('"a"', '"b"') + "\n")
    assert [write.key for write in read_writes(tmp_path)] == ["a", "b"]


def test_findings_come_back_by_kind_and_key_and_are_empty_if_nobody_read(tmp_path):
    path = tmp_path / "read_back.json"
    assert read_findings(path) == {}
    path.write_text(json.dumps({"post": {"a": [0, 1]}}))
    assert read_findings(path) == {"post": {"a": Finding(0, 1)}}
    path.write_text("[1]")
    with pytest.raises(FormatError, match="no read-back"):
        read_findings(path)
