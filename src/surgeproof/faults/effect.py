"""Whether a fault can have had an effect, seen from outside of it.

A fault on an edge that nothing uses breaks nothing, and a rehearsal that passes under it proves
nothing. Toxiproxy's own counters move only when a connection ends, so they cannot tell; the
kernel's table of connections can, for a proxy on this machine.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Protocol

from surgeproof.faults.kinds import DOWN
from surgeproof.model.plan import Fault

__all__ = ["ConnectionObserver", "EffectObserver", "established_to"]

_CONNECT_S = 1.0
_ESTABLISHED = "01"
# These close the connections that they hit, so having none under them says nothing.
_CLOSING = frozenset({"timeout", "reset_peer", "limit_data", "slow_close"})


class EffectObserver(Protocol):
    """Judges, while a fault is on, whether it has an effect."""

    def observe(self, fault: Fault, listen: str) -> bool | None:
        """Return whether an effect was seen; None if it cannot be told."""
        ...


class ConnectionObserver:
    """``down`` must refuse a connection; any other fault needs a connection that it can hit."""

    def observe(self, fault: Fault, listen: str) -> bool | None:
        host, _, port = listen.rpartition(":")
        if not _is_loopback(host):
            return None
        if fault.kind == DOWN:
            return _refuses(host.strip("[]"), int(port))
        if established_to(int(port)):
            return True
        return None if fault.kind in _CLOSING else False


def established_to(port: int, tables: tuple[str, ...] = ("tcp", "tcp6")) -> int:
    """Return how many connections of this machine are established to a listening port of it."""
    count = 0
    for table in tables:
        path = Path("/proc/net") / table
        lines = path.read_text(encoding="ascii").splitlines()[1:] if path.exists() else []
        for line in lines:
            _, local, _, state, *_ = line.split()
            count += state == _ESTABLISHED and int(local.rpartition(":")[2], 16) == port
    return count


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _refuses(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_S):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
