"""Waiting until the kernel has forgotten the run before.

A tool that dials for every late request leaves thousands of closed connections, which the kernel
keeps for a minute; a run of any tool in that minute is late through no fault of its own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["closed_connections", "settle"]

_SOCKETS = Path("/proc/net/sockstat")
# A run with 500 users leaves as many; ten thousand are felt.
_MOST = 2000
# Linux keeps each for 60 s.
_LONGEST_S = 65.0
_LOOK_S = 1.0


def settle(
    say: Callable[[str], None],
    *,
    read: Callable[[], int | None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Wait until few closed connections are left; returns the seconds waited, 65 at most."""
    read = read or (lambda: closed_connections(_SOCKETS))
    waited_s = 0.0
    while waited_s < _LONGEST_S:
        count = read()
        if count is None or count <= _MOST:
            break
        if not waited_s:
            say(f"waiting for {count} closed connections of the runs before to be forgotten")
        sleep(_LOOK_S)
        waited_s += _LOOK_S
    return waited_s


def closed_connections(path: Path) -> int | None:
    """Return how many TCP connections are in TIME_WAIT, None where the system does not say."""
    try:
        found = re.search(r"^TCP: .*\btw (\d+)", path.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None
