"""A fleet over real links: workers in network namespaces of their own, with clocks of their own.

Needs root, `ip` (iproute2) and `unshare` (util-linux). The master and the server stay where the
tests run; each worker has a veth pair to them and nothing else.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.integration

CountingServer = Any
MakeFleet = Callable[..., Any]

# A worker's clock is read this far ahead of the master's.
AHEAD_S = 5000.0
# Arrivals may reach the server this much beside their moment: a clock that was off by its
# uncertainty, and a machine with other work. Without the offset it would be thousands of seconds.
BESIDE_S = 0.25


@dataclass(frozen=True)
class Link:
    """A namespace with one link: ``outside`` is the interface at our end."""

    namespace: str
    outside: str
    address: str

    @property
    def within(self) -> list[str]:
        return ["ip", "netns", "exec", self.namespace]

    def set_up(self, *, is_up: bool) -> None:
        ip("link", "set", self.outside, "up" if is_up else "down")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)


@pytest.fixture
def links() -> Iterator[list[Link]]:
    """Two namespaces that reach us and not each other; removed whatever happens."""
    missing = [name for name in ("ip", "unshare") if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        reason = f"needs root and {', '.join(missing)}" if missing else "needs root"
        if os.environ.get("CI") == "true":
            pytest.fail(f"network namespaces: {reason}")
        pytest.skip(f"network namespaces: {reason}")
    with ExitStack() as opened:
        token, net = secrets.token_hex(3), secrets.randbelow(250)
        made = []
        for number in range(2):
            name = f"sp{token}{number}"
            ours, theirs = (f"10.213.{net}.{number * 4 + end}" for end in (1, 2))
            ip("netns", "add", name)
            opened.callback(_remove, name)
            ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("addr", "add", f"{ours}/30", "dev", name)
            ip("link", "set", name, "up")
            for command in (
                ("addr", "add", f"{theirs}/30", "dev", "eth0"),
                ("link", "set", "lo", "up"),
                ("link", "set", "eth0", "up"),
                ("route", "add", "default", "via", ours),
            ):
                ip("-n", name, *command)
            made.append(Link(name, name, ours))
        yield made


def _remove(namespace: str) -> None:
    # The pair goes with the namespace.
    with suppress(subprocess.CalledProcessError):
        ip("netns", "delete", namespace)


def test_workers_on_other_hosts_send_one_schedule_by_the_masters_clock(
    links: list[Link], make_server: Callable[[str], CountingServer], make_fleet: MakeFleet
) -> None:
    server = make_server(links[0].address)
    fleet = make_fleet(server.url, duration_s=4)
    fleet.start_master("--master-bind-host", links[0].address)
    ahead = ["unshare", "--time", "--monotonic", f"{AHEAD_S:g}", "--fork", "--kill-child", "--"]
    fleet.start_worker(within=[*links[0].within, *ahead], master_host=links[0].address)
    fleet.start_worker(within=links[1].within, master_host=links[0].address)
    t0 = fleet.begin()
    assert fleet.wait() == 0, fleet.log("master")
    assert server.arrivals == dict.fromkeys(range(400), 1)
    samples = fleet.samples
    assert len(samples) == 400
    assert np.bincount(samples.generator).tolist() == [200, 200]
    ahead_worker, other = sorted(
        fleet.events("generator.started"), key=lambda event: event["clock_offset_s"]
    )
    assert not ahead_worker["shares_clock"]
    assert abs(ahead_worker["clock_offset_s"] + AHEAD_S) <= ahead_worker["clock_uncertainty_s"]
    assert other["shares_clock"]
    # At the server, by its own clock: arrivals of both are where the schedule has them.
    beside_s = [
        moment - t0 - fleet.schedule.times_s[int(path.rpartition("/")[2])]
        for path, moment in server.moments
    ]
    assert np.quantile(np.abs(beside_s), 0.9) < BESIDE_S


@pytest.mark.full
def test_a_worker_behind_a_broken_link_is_missed_and_back_when_it_heals(
    links: list[Link], make_server: Callable[[str], CountingServer], make_fleet: MakeFleet
) -> None:
    server = make_server(links[0].address)
    fleet = make_fleet(server.url, duration_s=20)
    fleet.start_master("--master-bind-host", links[0].address)
    for link in links:
        fleet.start_worker(within=link.within, master_host=links[0].address)
    fleet.begin()
    fleet.wait_until(lambda: len(fleet.samples) >= 150, "two seconds of samples")
    links[1].set_up(is_up=False)
    fleet.wait_until(lambda: fleet.events("generator.lost"), "the loss")
    links[1].set_up(is_up=True)
    assert fleet.wait() == 0, fleet.log("master")
    (lost,) = fleet.events("generator.lost")
    assert lost["reason"] == "nothing was heard of it"
    back = [one for one in fleet.events("generator.started") if one["from_s"] > 0]
    assert [one["generator"] for one in back] == [lost["generator"]]
    samples = fleet.samples
    assert len(samples) + len(fleet.drops) == len(fleet.schedule)
    assert len(np.unique(samples.session)) == len(samples)
    assert max(server.arrivals.values()) == 1
    # From the cut-off until it was back, the other one sent everything.
    alone = (samples.intended_s >= lost["redealt_from_s"]) & (
        samples.intended_s < back[0]["from_s"]
    )
    assert set(samples.generator[alone]) == {1 - lost["generator"]}
