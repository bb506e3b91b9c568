"""The target's processor time: whose it is, second by second, and what comes of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from surgeproof.journal.target_cpu import TARGET_CPU_FILE, read_target_cpu
from surgeproof.model.result import ProcessorUse, TargetProcessors
from surgeproof.observe.processor_time import TargetProcessorTime, processor_times

TICKS = os.sysconf("SC_CLK_TCK")


def put(proc: Path, pid: int, parent: int, *ticks: int, command: str = "web") -> None:
    """Write a stat file: own user and system time, then that of children waited for."""
    folder = proc / str(pid)
    folder.mkdir()
    times = " ".join(str(count * TICKS) for count in ticks)
    (folder / "stat").write_text(f"{pid} ({command}) S {parent} 1 1 0 -1 4 0 0 0 0 {times} 20 0 1")


def test_a_process_answers_for_its_descendants(tmp_path: Path) -> None:
    put(tmp_path, 10, 1, 1, 2, 3, 4, command="post gres) R 7")
    put(tmp_path, 11, 10, 10, 0, 0, 0)
    put(tmp_path, 12, 11, 100, 0, 0, 0)
    put(tmp_path, 20, 1, 5, 0, 0, 0)
    put(tmp_path, 30, 1, 7, 7, 7, 7)
    (tmp_path / "self").mkdir()
    found = processor_times([("postgres", 10), ("redis", 20), ("gone", 99)], tmp_path)
    assert found == {"postgres": 120.0, "redis": 5.0}


def test_this_process_is_seen_to_work() -> None:
    before = processor_times([("me", os.getpid())])["me"]
    while processor_times([("me", os.getpid())])["me"] == before:
        sum(range(100_000))


def readings(*each: Mapping[str, float]) -> Iterator[Mapping[str, float]]:
    yield from each


def test_a_line_is_written_each_second_with_the_share_of_each_process(tmp_path: Path) -> None:
    told = readings({"web": 5.0, "db": 1.0}, {"web": 5.5, "db": 1.0}, {"web": 7.5, "db": 1.2})

    def times(_processes: Sequence[tuple[str, int]]) -> Mapping[str, float]:
        return next(told)

    with TargetProcessorTime([("web", 1), ("db", 2)], tmp_path, times) as target:
        for now_s in (-0.4, 0.0, 0.3, 0.9, 1.0, 1.5, 3.0):
            target.look(now_s)
    found = read_target_cpu(tmp_path)
    assert found.cpu_ratio == pytest.approx(0.9)
    assert found.cpu_most_ratio == pytest.approx(1.1)
    assert found.processes == (
        ProcessorUse("web", 0.8333, 1.0),
        ProcessorUse("db", 0.0667, 0.1),
    )


def test_a_process_that_was_started_again_counts_from_its_new_start(tmp_path: Path) -> None:
    told = readings({"web": 50.0}, {"web": 0.2})
    with TargetProcessorTime([("web", 1)], tmp_path, lambda _: next(told)) as target:
        target.look(0.0)
        target.look(1.0)
    assert read_target_cpu(tmp_path).cpu_ratio == 0.0


def test_nothing_is_known_of_a_target_that_is_not_ours(tmp_path: Path) -> None:
    with TargetProcessorTime([], tmp_path) as target:
        target.look(0.0)
        target.look(5.0)
    assert not (tmp_path / TARGET_CPU_FILE).exists()
    assert read_target_cpu(tmp_path) == TargetProcessors(None, None)


def test_a_line_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    whole = '{"t_s": 1.0, "length_s": 1.0, "cpu_ratio": {"web": 0.5}}\n'
    (tmp_path / TARGET_CPU_FILE).write_text(whole + '{"t_s": 2.0, "len')
    assert read_target_cpu(tmp_path).cpu_ratio == 0.5
