"""Is it ready? One cheap question per kind of server, answered at once, each with a deadline."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from surgeproof.stack.ports import LOOPBACK

__all__ = ["PROBE_TIMEOUT_S", "Probe", "answers_json", "answers_ok", "answers_ping", "get"]

Probe = Callable[[int], bool]
"""Takes the asked process's id and tells whether it is ready; raises nothing."""

PROBE_TIMEOUT_S = 0.5
_LARGEST_ANSWER_BYTES = 1 << 20


def get(url: str, timeout_s: float = PROBE_TIMEOUT_S) -> tuple[int, bytes] | None:
    """Return status and body of a loopback GET, or None where there was no whole answer."""
    # Late: it brings the mail and TLS packages along, and a plan is checked without asking anybody.
    import http.client  # noqa: PLC0415

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        answer = connection.getresponse()
        return answer.status, answer.read(_LARGEST_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def answers_ok(url: str) -> Probe:
    """Ready once ``url`` answers 200."""

    def probe(_pid: int) -> bool:
        answer = get(url)
        return answer is not None and answer[0] == 200

    return probe


def answers_ping(port: int) -> Probe:
    """Ready once a Redis server answers PONG (while it loads, it answers -LOADING)."""

    def probe(_pid: int) -> bool:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=PROBE_TIMEOUT_S) as link:
                link.sendall(b"PING\r\n")
                return link.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    return probe


def answers_json(url: str, key: str, value: str) -> Probe:
    """Ready once ``url`` answers 200 with a JSON object that has ``key`` at ``value``."""

    def probe(_pid: int) -> bool:
        answer = get(url)
        if answer is None or answer[0] != 200:
            return False
        try:
            data = json.loads(answer[1])
        except ValueError:
            return False
        return isinstance(data, dict) and data.get(key) == value

    return probe
