"""Just enough of PostgreSQL's wire protocol (version 3) to ask for readiness and run a command.

No driver is needed for that, and the installed tool has none. Only trust authentication is known.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.stack.ports import LOOPBACK
from surgeproof.stack.probes import PROBE_TIMEOUT_S

__all__ = ["accepts", "execute"]

_PROTOCOL_3_0 = 196608
_EXECUTE_TIMEOUT_S = 30.0


def accepts(port: int, role: str, database: str) -> bool:
    """Tell whether a session is to be had; while the server recovers, it is not."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=PROBE_TIMEOUT_S) as link:
            for kind, _ in _open_session(link, role, database):
                if kind == b"Z":
                    return True
                if kind == b"E":
                    return False
    except (OSError, EOFError):
        return False
    return False


def execute(port: int, role: str, database: str, statement: str) -> None:
    """Run one statement that answers no rows.

    Raises:
        EnvironmentNotReadyError: the server refused it or went away.
    """
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_EXECUTE_TIMEOUT_S) as link:
            _until_idle(_open_session(link, role, database))
            text = statement.encode() + b"\0"
            link.sendall(b"Q" + struct.pack("!i", len(text) + 4) + text)
            _until_idle(_messages(link))
            link.sendall(b"X" + struct.pack("!i", 4))
    except (OSError, EOFError) as error:
        message = f"postgresql on port {port} broke off at {statement!r}: {error}"
        raise EnvironmentNotReadyError(message) from error


def _open_session(link: socket.socket, role: str, database: str) -> Iterator[tuple[bytes, bytes]]:
    words = ("user", role, "database", database, "")
    body = struct.pack("!i", _PROTOCOL_3_0) + b"".join(word.encode() + b"\0" for word in words)
    link.sendall(struct.pack("!i", len(body) + 4) + body)
    return _messages(link)


def _until_idle(messages: Iterator[tuple[bytes, bytes]]) -> None:
    failure = ""
    for kind, body in messages:
        if kind == b"E":
            fields = {field[:1]: field[1:] for field in body.split(b"\0") if field}
            failure = fields.get(b"M", b"no message").decode("utf-8", errors="replace")
            if fields.get(b"V") in {b"FATAL", b"PANIC"}:
                break
        if kind == b"Z":
            break
    if failure:
        raise EnvironmentNotReadyError(f"postgresql refused: {failure}")


def _messages(link: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    while True:
        head = _exactly(link, 5)
        (length,) = struct.unpack("!i", head[1:])
        yield head[:1], _exactly(link, length - 4)


def _exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            raise EOFError("the connection was closed")
        data += part
    return data
