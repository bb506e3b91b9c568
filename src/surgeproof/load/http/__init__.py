"""The load generator's own HTTP/1.1 client: uvloop-friendly, bounded, measured at the socket."""

from surgeproof.load.http.attempt import Attempt, RawResponse, TransportError
from surgeproof.load.http.origin import Origin
from surgeproof.load.http.transport import Transport

__all__ = ["Attempt", "Origin", "RawResponse", "Transport", "TransportError"]
