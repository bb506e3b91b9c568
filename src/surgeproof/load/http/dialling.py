"""Opening connections to an origin: TCP by name or address, TLS, Unix sockets."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import TypeVar, cast

from surgeproof.load.http.attempt import TransportError
from surgeproof.load.http.origin import Origin

__all__ = ["dial", "dial_kind"]

Spoken = TypeVar("Spoken", bound=asyncio.BaseProtocol)

_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
_KINDS_BY_NUMBER: Mapping[int | None, str] = {
    errno.EMFILE: "descriptors",
    errno.ENFILE: "descriptors",
    errno.EADDRNOTAVAIL: "ports",
    # Of a Unix socket: nobody made it, or its queue is full.
    errno.ENOENT: "refused",
    errno.EAGAIN: "refused",
}


async def dial(
    loop: asyncio.AbstractEventLoop,
    origin: Origin,
    tls: ssl.SSLContext | None,
    make_protocol: Callable[[], Spoken],
    timeout_s: float,
) -> Spoken:
    """Return a protocol of ``make_protocol`` that is connected to an origin.

    The addresses of a name are tried one after the other, as the resolver orders them.

    Raises:
        TransportError: with the kind that `dial_kind` gives, or ``connect_timeout``.
    """
    try:
        async with asyncio.timeout(max(timeout_s, 0.0)):
            return await _connect(loop, origin, tls, make_protocol)
    except TimeoutError as error:
        detail = str(error) or f"no connection to {origin.url} in {timeout_s:.3g}s"
        raise TransportError("connect_timeout", detail) from error
    except (OSError, UnicodeError) as error:
        raise TransportError(dial_kind(error), f"{origin.url}: {error}") from error


def dial_kind(error: Exception) -> str:
    """Return the error kind of a dial that failed with an OSError or UnicodeError."""
    # A resolver without descriptors cannot read its files, and says that the name is unknown.
    if isinstance(error, socket.gaierror) and _lacks_descriptors():
        return "descriptors"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "dns"
    # Numbers of TLS errors are OpenSSL's own.
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    usual = "reset" if isinstance(error, ConnectionError) else "unreachable"
    return _KINDS_BY_NUMBER.get(getattr(error, "errno", None), usual)


async def _connect(
    loop: asyncio.AbstractEventLoop,
    origin: Origin,
    tls: ssl.SSLContext | None,
    make_protocol: Callable[[], Spoken],
) -> Spoken:
    if origin.socket_path is not None:
        _, protocol = await loop.create_unix_connection(make_protocol, origin.socket_path)
        return protocol
    addresses = [origin.host]
    if not _is_address(origin.host):
        # Looked up here: given a name, the loop blends the failures of its addresses into one
        # error, from which refused cannot be told from unreachable.
        found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    failure: OSError | None = None
    for address in addresses:
        try:
            _, protocol = await cast(
                "Awaitable[tuple[asyncio.BaseTransport, Spoken]]",
                loop.create_connection(
                    make_protocol,
                    address,
                    origin.port,
                    ssl=tls,
                    server_hostname=origin.host if tls else None,
                ),
            )
        except OSError as error:
            if isinstance(error, ssl.SSLError):
                raise
            failure = error
        else:
            return protocol
    raise failure or OSError(f"{origin.host} has no address")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _lacks_descriptors() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _NO_DESCRIPTOR
    return False
