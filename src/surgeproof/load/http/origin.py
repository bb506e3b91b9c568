"""Where requests go: scheme, host and port of a base URL, and the TLS settings that go with it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from surgeproof.errors import EnvironmentNotReadyError, UsageError

__all__ = ["Origin", "tls_context"]

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """A base URL taken apart; ``prefix`` is its path without the last slash."""

    is_tls: bool
    host: str
    port: int
    prefix: str

    @classmethod
    def parse(cls, base_url: str) -> Origin:
        """Read ``http://host:8080/base`` (also https, also IPv6 in brackets).

        Raises:
            UsageError: it is no such URL.
        """
        accepted = "accepted: http://HOST[:PORT][/PATH] or https://…"
        try:
            parts = urlsplit(base_url)
            port = parts.port
        except ValueError as error:
            raise UsageError(
                f"base url {base_url!r} cannot be read: {error}; {accepted}"
            ) from error
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise UsageError(f"base url {base_url!r} cannot be used; {accepted}")
        if parts.query or parts.fragment or parts.username:
            raise UsageError(f"base url {base_url!r} has more than host and path; {accepted}")
        return cls(
            parts.scheme == "https",
            parts.hostname,
            port or _DEFAULT_PORTS[parts.scheme],
            parts.path.rstrip("/"),
        )

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = _DEFAULT_PORTS["https" if self.is_tls else "http"]
        return host if self.port == default else f"{host}:{self.port}"


def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return a context that verifies the server, against ``ca_bundle`` where one is given.

    Raises:
        EnvironmentNotReadyError: the bundle cannot be read or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=None if ca_bundle is None else str(ca_bundle))
    except (OSError, ssl.SSLError) as error:
        raise EnvironmentNotReadyError(f"ca_bundle {ca_bundle} cannot be used: {error}") from error
