"""Loopback ports that stay ours from before a server's start until after its end.

A port chosen by the kernel lies in the range from which outgoing connections take theirs too, so
it could be gone before the server binds it, or while a fault has the server's listener closed. So
each port is held for the stack's whole life by a bound socket that never listens: with
SO_REUSEADDR on both sides a server may listen on it all the same (Linux allows that as long as
nobody listens yet), while the kernel gives it to no connection and to no other chooser.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator, Mapping

from surgeproof.errors import EnvironmentNotReadyError, PortTakenError

__all__ = ["LOOPBACK", "PortBook", "is_answering"]

LOOPBACK = "127.0.0.1"


class PortBook(Mapping[str, int]):
    """The ports of one stack by the name of who listens there."""

    def __init__(self) -> None:
        self._held: dict[str, socket.socket] = {}

    def reserve(self, name: str, fixed: int | None = None) -> int:
        """Hold a port for ``name``: the ``fixed`` one, or one that the kernel chooses.

        Raises:
            PortTakenError: somebody listens on the fixed port.
            EnvironmentNotReadyError: there is no free port, or the fixed one is forbidden.
        """
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((LOOPBACK, fixed or 0))
        except OSError as error:
            holder.close()
            if fixed is not None and error.errno == errno.EADDRINUSE:
                raise PortTakenError(taken_message(name, fixed)) from error
            message = f"cannot have port {fixed or 'of any number'} on {LOOPBACK} for {name}"
            raise EnvironmentNotReadyError(f"{message}: {error.strerror}") from error
        self._held[name] = holder
        return self[name]

    def close(self) -> None:
        """Give all ports back."""
        for holder in self._held.values():
            with contextlib.suppress(OSError):
                holder.close()
        self._held.clear()

    def __getitem__(self, name: str) -> int:
        return int(self._held[name].getsockname()[1])

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def taken_message(name: str, port: int) -> str:
    """Return what a person should read when a fixed port is not free."""
    return (
        f"port {port} on {LOOPBACK}, fixed for {name}, is in use by another process; "
        "end that one, or leave the port out to have a free one chosen"
    )


def is_answering(port: int, timeout_s: float = 0.2) -> bool:
    """Tell whether somebody accepts connections on a loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s):
            return True
    except OSError:
        return False
