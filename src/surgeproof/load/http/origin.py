"""Where requests go: scheme, host and port of a base URL, and the TLS settings that go with it."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from surgeproof.errors import EnvironmentNotReadyError, UsageError

__all__ = ["Origin", "tls_context"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNIX_SCHEME = "http+unix"
_ACCEPTED = "accepted: http://HOST[:PORT][/PATH], https://… or http+unix://%2FPATH%2FTO.SOCK[/PATH]"
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PREFIX = re.compile(r"(/[\x21-\x7e]*)?")
# sun_path holds 108 bytes on Linux, the last of which is a zero (unix(7)).
_MAX_SOCKET_PATH_BYTES = 107


@dataclass(frozen=True, slots=True)
class Origin:
    """A base URL taken apart; ``prefix`` is its path without the last slash.

    ``socket_path`` is the Unix socket to dial instead of host and port, which then only stand in
    the Host header.
    """

    is_tls: bool
    host: str
    port: int
    prefix: str
    socket_path: str | None = None

    @classmethod
    def parse(cls, base_url: str) -> Origin:
        """Read ``http://host:8080/base``; also https, IPv6 in brackets, and Unix sockets.

        The path of a Unix socket is percent-encoded in the host's place:
        ``http+unix://%2Frun%2Fapp.sock/base``.

        Raises:
            UsageError: it is no such URL.
        """
        try:
            parts = urlsplit(base_url)
            is_unix = parts.scheme == _UNIX_SCHEME
            port = None if is_unix else parts.port
        except ValueError as error:
            raise UsageError(
                f"base url {base_url!r} cannot be read: {error}; {_ACCEPTED}"
            ) from error
        if not is_unix and (parts.scheme not in _DEFAULT_PORTS or not parts.hostname):
            raise UsageError(f"base url {base_url!r} cannot be used; {_ACCEPTED}")
        if parts.query or parts.fragment or parts.username is not None:
            raise UsageError(f"base url {base_url!r} has more than host and path; {_ACCEPTED}")
        if not _PREFIX.fullmatch(parts.path):
            raise UsageError(f"base url {base_url!r} has a path that is not percent-encoded")
        prefix = parts.path.rstrip("/")
        if is_unix:
            return cls(False, "localhost", 80, prefix, _socket_path(base_url, parts))
        if port == 0:
            raise UsageError(f"base url {base_url!r} has port 0; accepted: 1 to 65535")
        return cls(
            parts.scheme == "https",
            _host(base_url, parts.hostname or ""),
            port or _DEFAULT_PORTS[parts.scheme],
            prefix,
        )

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        # A zone names an interface of this machine and means nothing to the server (RFC 6874).
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        default = _DEFAULT_PORTS["https" if self.is_tls else "http"]
        return host if self.port == default else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The origin as messages name it."""
        if self.socket_path is not None:
            return f"unix socket {self.socket_path}"
        return f"{'https' if self.is_tls else 'http'}://{self.authority}"


def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return a context that verifies the server, against ``ca_bundle`` where one is given.

    Raises:
        EnvironmentNotReadyError: the bundle cannot be read or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=None if ca_bundle is None else str(ca_bundle))
    except (OSError, ssl.SSLError) as error:
        raise EnvironmentNotReadyError(f"ca_bundle {ca_bundle} cannot be used: {error}") from error


def _host(base_url: str, host: str) -> str:
    """Return a host as it is looked up and named in the Host header."""
    if ":" in host:
        host = host.replace("%25", "%", 1)
        try:
            IPv6Address(host)
        except ValueError as error:
            raise UsageError(f"base url {base_url!r} has no IPv6 address: {error}") from error
        return host
    try:
        # Also refuses labels that are empty or too long, which would fail at every look-up.
        name = host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise UsageError(f"base url {base_url!r} has no usable host name: {error}") from error
    if not _HOST_NAME.fullmatch(name):
        raise UsageError(f"base url {base_url!r} has no usable host name; {_ACCEPTED}")
    return name


def _socket_path(base_url: str, parts: SplitResult) -> str:
    path = unquote(parts.netloc)
    if not path.startswith("/") or "\0" in path:
        raise UsageError(f"base url {base_url!r} names no absolute path of a socket; {_ACCEPTED}")
    if len(path.encode()) > _MAX_SOCKET_PATH_BYTES:
        raise UsageError(
            f"base url {base_url!r} names a socket path of {len(path.encode())} bytes;"
            f" accepted: up to {_MAX_SOCKET_PATH_BYTES}"
        )
    return path
