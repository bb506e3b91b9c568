"""Content codings of answers: gzip and deflate, with a bound on what comes out.

Only codings of the standard library are offered; an answer in another one (``br``, ``zstd``) that
nobody asked for cannot be read and is a ``protocol`` error.
"""

from __future__ import annotations

import zlib

from surgeproof.load.http.attempt import RawResponse, TransportError

__all__ = ["ACCEPTED_CODINGS", "MAX_DECODED_BYTES", "decode_body", "decoded"]

ACCEPTED_CODINGS = "gzip, deflate"
# As much as an answer without a coding may have: a few KiB can unfold to gigabytes.
MAX_DECODED_BYTES = 64 * 1024 * 1024
# A body coded over and over is an attack, not an answer; real ones have one coding, rarely two.
_MAX_CODINGS = 4
# Each member copies what is left of the body; a body of empty ones would hold the loop for hours.
_MAX_GZIP_MEMBERS = 16
_GZIP_BITS = zlib.MAX_WBITS | 16
_GZIP_NAMES = frozenset({"gzip", "x-gzip"})


def decoded(response: RawResponse, limit: int = MAX_DECODED_BYTES) -> RawResponse:
    """Return the answer with its body decoded; the same object where there is no coding.

    Headers stay as they were received. Answers without a body (to HEAD, 204, 304) may name a
    coding, and are left alone.

    Raises:
        TransportError: ``protocol`` (cut off, corrupt or in a coding that nobody asked for) or
            ``too_large``.
    """
    if b"content-encoding" not in response.marks:
        return response
    codings = [
        coding.strip().lower()
        for name, value in response.headers
        if name == b"content-encoding"
        for coding in value.decode("latin-1").split(",")
    ]
    codings = [coding for coding in codings if coding not in {"", "identity"}]
    if not codings or not response.body:
        return response
    if len(codings) > _MAX_CODINGS:
        raise TransportError("protocol", f"the body has {len(codings)} content codings")
    body = response.body
    # Applied in the order in which they are listed (RFC 9110, section 8.4).
    for coding in reversed(codings):
        body = decode_body(body, coding, limit)
    return RawResponse(
        response.status,
        response.headers,
        body,
        can_keep_alive=response.can_keep_alive,
        marks=response.marks - {b"content-encoding"},
    )


def decode_body(body: bytes, coding: str, limit: int = MAX_DECODED_BYTES) -> bytes:
    """Undo one content coding.

    Raises:
        TransportError: as `decoded`.
    """
    if coding in _GZIP_NAMES:
        return _inflate(body, _GZIP_BITS, coding, limit)
    if coding == "deflate":
        # By the standard the zlib format; some servers send the bare stream all the same, whose
        # first two bytes never make a valid zlib header (RFC 1950, section 2.2) by accident.
        is_zlib = (
            len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
        )
        return _inflate(body, zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS, coding, limit)
    raise TransportError(
        "protocol", f"content coding {coding[:40]!r} was not asked for; accepted: gzip, deflate"
    )


def _inflate(body: bytes, window_bits: int, coding: str, limit: int) -> bytes:
    pieces: list[bytes] = []
    left = limit
    rest = body
    for _ in range(_MAX_GZIP_MEMBERS):
        stream = zlib.decompressobj(window_bits)
        try:
            # One byte more than allowed tells "just fits" from "too much".
            piece = stream.decompress(rest, left + 1)
        except zlib.error as error:
            raise TransportError("protocol", f"the {coding} body is corrupt: {error}") from error
        left -= len(piece)
        if left < 0:
            raise TransportError("too_large", f"the decoded body exceeds {limit} bytes")
        pieces.append(piece)
        if not stream.eof:
            raise TransportError("protocol", f"the {coding} body is cut off")
        rest = stream.unused_data
        # A gzip file may have several members (RFC 1952, section 2.2); zeros are padding.
        if window_bits != _GZIP_BITS or not rest.strip(b"\0"):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    raise TransportError("protocol", f"the gzip body has over {_MAX_GZIP_MEMBERS} members")
