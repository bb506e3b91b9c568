"""A process's account of itself, read from a /proc made for the test."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from surgeproof.load.vitals import Vitals

SOCKETS = "sockets: used 9\nTCP: inuse {inuse} orphan 0 tw {tw} alloc 9 mem 1\nUDP: inuse 3 mem 0\n"


class Proc:
    """A folder that looks like /proc."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "net").mkdir()
        (root / "self" / "fd").mkdir(parents=True)
        limits = root / "sys" / "net" / "ipv4"
        limits.mkdir(parents=True)
        (limits / "ip_local_port_range").write_text("32768\t60999\n")
        (root / "net" / "sockstat6").write_text("TCP6: inuse 5\nUDP6: inuse 0\n")
        self.processors()
        self.sockets(0, 0)

    def processors(self, busy: int = 0, idle: int = 0, steal: int = 0) -> None:
        """Two cores of which the first is as given, in ticks; the second is always busy."""
        lines = [
            f"cpu  {busy + 9000} 0 0 {idle} 0 0 0 {steal} 0 0",
            f"cpu0 {busy + 1} 0 0 {idle} 0 0 0 {steal} 0 0",
            f"cpu1 {busy * 7 + 9000} 0 0 0 0 0 0 0 0 0",
            "intr 1",
        ]
        (self.root / "stat").write_text("\n".join(lines))

    def sockets(self, inuse: int, tw: int) -> None:
        (self.root / "net" / "sockstat").write_text(SOCKETS.format(inuse=inuse, tw=tw))


class Ticks:
    """A clock that is told how far each reading lies from the one before."""

    def __init__(self, *steps: float) -> None:
        self._steps = iter(steps)
        self._now = 100.0

    def __call__(self) -> float:
        self._now += next(self._steps)
        return self._now


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


@pytest.fixture(autouse=True)
def no_other_collections() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def test_ratios_are_of_the_cores_that_the_process_may_use(proc: Proc) -> None:
    vitals = Vitals(proc=proc.root, cores=[0])
    vitals.begin()
    proc.processors(busy=60, idle=30, steal=10)
    line = vitals.line()
    vitals.end()
    assert (line["cores"], line["busy_ratio"], line["steal_ratio"]) == (1, 0.6, 0.1)


def test_each_line_covers_its_second_and_the_last_one_the_whole_run(proc: Proc) -> None:
    with Vitals(proc=proc.root, cores=[0]) as vitals:
        proc.processors(busy=100, idle=0)
        assert vitals.line()["busy_ratio"] == 1.0
        proc.processors(busy=100, idle=300)
        assert vitals.line()["busy_ratio"] == 0.0
        assert vitals.line(is_end=True)["busy_ratio"] == 0.25


def test_collections_are_counted_with_the_longest_and_their_sum(proc: Proc) -> None:
    vitals = Vitals(proc=proc.root, monotonic=Ticks(0, 0.25, 1, 0.5))
    with vitals:
        gc.collect()
        gc.collect()
        line = vitals.line()
    assert (line["gc_pauses"], line["gc_longest_s"], line["gc_total_s"]) == (2, 0.5, 0.75)


def test_nothing_is_counted_once_the_measuring_is_over(proc: Proc) -> None:
    before = list(gc.callbacks)
    with Vitals(proc=proc.root) as vitals:
        pass
    vitals.end()
    gc.collect()
    assert vitals.line()["gc_pauses"] == 0
    assert gc.callbacks == before


def test_sockets_that_wait_out_their_time_keep_their_ports(proc: Proc) -> None:
    with Vitals(proc=proc.root) as vitals:
        proc.sockets(inuse=100, tw=20_000)
        vitals.line()
        proc.sockets(inuse=1, tw=0)
        line = vitals.line()
    assert (line["ports_used"], line["ports_most"]) == (6, 20_105)
    assert line["ports_limit"] == 60_999 - 32_768 + 1


def test_open_files_are_counted(proc: Proc) -> None:
    with Vitals() as vitals:
        files = vitals.line()["files_used"]
        with (proc.root / "one").open("w"), (proc.root / "two").open("w"):
            more = vitals.line()["files_used"]
        least = vitals.line()
    assert isinstance(files, int)
    assert more == files + 2
    assert (least["files_used"], least["files_most"]) == (files, files + 2)


def test_what_a_machine_does_not_tell_is_not_known(tmp_path: Path) -> None:
    with Vitals(proc=tmp_path) as vitals:
        line = vitals.line()
    for key in ("busy_ratio", "steal_ratio", "files_used", "ports_used", "ports_limit"):
        assert line[key] is None
