"""A network of its own for each run, so that no run pays for what the one before has left.

A tool that dials for every late request leaves thousands of closed connections, which the kernel
keeps for a minute; a run of any tool in that minute is late through no fault of its own. With a
network namespace they are gone when the run is.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks.settling import settle

__all__ = ["SHARED", "Network", "fresh_network"]

_LIMIT_S = 10.0
_NUMBERS = itertools.count(1)


class Network:
    """Where processes of a run meet: ``prefix`` puts a command there."""

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self.prefix = tuple(prefix)

    def placed(self, command: Sequence[str]) -> list[str]:
        """Return a command that runs in this network."""
        return [*self.prefix, *command]


SHARED = Network()


@contextmanager
def fresh_network(say: Callable[[str], None]) -> Iterator[Network]:
    """Make a network with nothing but a loopback device, and take it away again.

    Where this user may not, it is the machine's own, once the runs before are forgotten.
    """
    name = f"surgeproof-bench-{os.getpid()}-{next(_NUMBERS)}"
    if not _ip("netns", "add", name):
        settle(say)
        yield SHARED
        return
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        yield Network(("ip", "netns", "exec", name))
    finally:
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    ended = subprocess.run(["ip", *arguments], capture_output=True, timeout=_LIMIT_S, check=False)
    return ended.returncode == 0
