"""Where processes run, and that a death is noticed."""

from __future__ import annotations

import subprocess
import sys
import time

from surgeproof.load.fleet.place import Place, ProcessWatch, here


def test_one_kernel_and_one_time_namespace_are_one_clock() -> None:
    mine = Place("a", 1, "boot", "time:1", "pid:1")
    assert mine.shares_clock_with(Place("b", 2, "boot", "time:1", "pid:9"))
    assert not mine.shares_clock_with(Place("b", 2, "boot", "time:2", "pid:1"))
    assert not mine.shares_clock_with(Place("b", 2, "other", "time:1", "pid:1"))


def test_what_is_not_known_is_equal_to_nothing() -> None:
    unknown = Place("a", 1)
    assert not unknown.shares_clock_with(unknown)
    assert not unknown.sees_processes_of(unknown)


def test_this_process_shares_its_own_clock_and_survives_its_message() -> None:
    mine = here("me")
    assert mine.shares_clock_with(mine)
    assert mine.sees_processes_of(mine)
    assert Place.from_data(mine.to_data()) == mine


def test_a_watched_process_is_said_to_have_died_once_it_has_though_nobody_waits_for_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    watch = ProcessWatch(process.pid)
    before = watch.has_died
    process.kill()
    deadline = time.monotonic() + 10
    while not watch.has_died:
        assert time.monotonic() < deadline
    watch.close()
    after = watch.has_died
    process.communicate()
    assert (before, after) == (False, False)


def test_a_process_that_was_never_there_is_not_said_to_have_died() -> None:
    assert not ProcessWatch(2**22 + 1).has_died
