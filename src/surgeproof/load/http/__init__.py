"""The load generator's own HTTP/1.1 client: uvloop-friendly, bounded, measured at the socket."""

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
