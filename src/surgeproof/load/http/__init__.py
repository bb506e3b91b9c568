"""The load generator's own HTTP/1.1 client: uvloop-friendly, bounded, measured at the socket.

Its parts are loaded on first use: who only reads an address needs neither asyncio nor a parser.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from surgeproof.load.http.attempt import Attempt, RawResponse, TransportError
    from surgeproof.load.http.connection import Connection
    from surgeproof.load.http.origin import Origin
    from surgeproof.load.http.transport import Transport
    from surgeproof.load.http.wire import RequestEncoder

__all__ = [
    "Attempt",
    "Connection",
    "Origin",
    "RawResponse",
    "RequestEncoder",
    "Transport",
    "TransportError",
]

_HOMES = {
    "Attempt": "attempt",
    "Connection": "connection",
    "Origin": "origin",
    "RawResponse": "attempt",
    "RequestEncoder": "wire",
    "Transport": "transport",
    "TransportError": "attempt",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
