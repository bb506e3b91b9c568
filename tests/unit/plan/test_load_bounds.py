"""The bounds that a plan sets to its generators: connections, arrivals under way, deadlines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from surgeproof.model.plan import Plan, Timeouts

Load = Callable[..., Plan]
Mistakes = Callable[..., list[str]]

MIX = "  mix: mix.toml\n"


def test_bounds_that_the_plan_leaves_out_have_their_defaults(load: Load) -> None:
    found = load().load
    assert (found.connections, found.max_in_flight, found.workers) == (1000, 4000, 1)
    assert found.timeouts == Timeouts(connect_s=5, read_s=10, total_s=10)


def test_bounds_of_the_plan_are_read(load: Load) -> None:
    keys = "  connections: 50\n  max_in_flight: 300\n  workers: 2\n"
    keys += "  timeouts: {connect: 300ms, read: 2s, total: 4s}\n"
    found = load((MIX, MIX + keys)).load
    assert (found.connections, found.max_in_flight, found.workers) == (50, 300, 2)
    assert found.timeouts == Timeouts(connect_s=0.3, read_s=2, total_s=4)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("total: 2s", Timeouts(connect_s=2, read_s=2, total_s=2)),
        ("total: 1m", Timeouts(connect_s=5, read_s=60, total_s=60)),
        ("read: 3s", Timeouts(connect_s=5, read_s=3, total_s=10)),
    ],
    ids=["a short total shortens all", "a long total lets an answer be silent", "read alone"],
)
def test_timeouts_left_out_follow_the_total(load: Load, given: str, expected: Timeouts) -> None:
    assert load((MIX, MIX + f"  timeouts: {{{given}}}\n")).load.timeouts == expected


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("connections: 0", "17:16: load.connections: 0 is out of bounds; accepted: 1 to 64511"),
        ("connections: 64512", "17:16: load.connections: 64512 is out of bounds"),
        ("max_in_flight: many", "17:18: load.max_in_flight: found 'many', accepted: a whole"),
        ("workers: -1", "17:12: load.workers: found '-1', accepted: a whole number"),
        ("workers: 257", "17:12: load.workers: 257 is out of bounds; accepted: 1 to 256"),
        ("timeouts: 5s", "17:13: load.timeouts: found '5s', accepted: a mapping"),
        ("timeouts: {total: 5}", "17:21: load.timeouts.total: '5' is no duration"),
        ("timeouts: {read: 0s}", "17:20: load.timeouts.read: '0s' is no time at all"),
        ("timeouts: {conect: 1s}", "unknown key 'conect'; did you mean 'connect'?"),
        (
            "timeouts: {read: 3s, total: 2s}",
            "17:20: load.timeouts.read: 3s is more than the total of 2s, which ends",
        ),
        ("timeouts: {connect: 11s}", "load.timeouts.connect: 11s is more than the total of 10s"),
    ],
)
def test_bounds_that_cannot_be_are_named(mistakes: Mistakes, key: str, message: str) -> None:
    (found,) = mistakes((MIX, f"{MIX}  {key}\n"))
    assert message in found


def test_k6_has_no_workers_of_ours(mistakes: Mistakes) -> None:
    found = mistakes((MIX, MIX + "  engine: k6\n  workers: 2\n"))
    wanted = "load.workers: k6 spreads its own work over the cores; accepted: 1 with k6"
    assert any(wanted in each for each in found), found
