"""The driver ``external``: a target that somebody else runs, and that only has to answer."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from urllib.parse import SplitResult, unquote, urlsplit

from surgeproof.clock import Clock, SystemClock
from surgeproof.errors import EnvironmentNotReadyError, TargetNotReadyError, UsageError
from surgeproof.stack.running import RunningStack

__all__ = ["ExternalTarget"]

_PROBE_TIMEOUT_S = 5.0
_UNIX_SCHEME = "http+unix"
_SHORTEST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class ExternalTarget:
    """Waits for ``base_url`` to answer anything at all; starts and stops nothing.

    Any HTTP status counts as an answer: what is healthy is for gates to say. ``headers`` are
    sent along, and never appear in a message.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        ca_bundle: Path | None = None,
        ready_timeout_s: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        """Take the address.

        Raises:
            UsageError: ``base_url`` is no address of the web or of a Unix socket.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https", _UNIX_SCHEME} or not parts.netloc:
            raise UsageError(
                f"{base_url!r} is no address; accepted: http://HOST, https://HOST or"
                " http+unix://%2FPATH%2FTO.SOCK"
            )
        self._base_url = base_url.rstrip("/")
        self._parts = parts
        self._headers = dict(headers)
        self._ready_timeout_s = ready_timeout_s
        self._clock = clock or SystemClock()
        self._tls = _tls_context(ca_bundle) if parts.scheme == "https" else None

    def __enter__(self) -> RunningStack:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> RunningStack:
        """Return once the target answers.

        Raises:
            TargetNotReadyError: it did not in time, or its certificate is not trusted.
        """
        deadline = self._clock.monotonic() + self._ready_timeout_s
        pause_s = _SHORTEST_PAUSE_S
        while True:
            failure = self._ask(self._parts)
            if failure is None:
                return RunningStack(base_url=self._base_url)
            if self._clock.monotonic() >= deadline:
                limit = f"{self._ready_timeout_s:g}s"
                raise TargetNotReadyError(
                    f"{self._base_url} did not answer within {limit}: {failure}"
                )
            self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def stop(self) -> None:
        """Leave the target as it is: it is not ours."""

    def _ask(self, parts: SplitResult) -> str | None:
        """Return None once there was an answer, else why not."""
        host, timeout_s = parts.hostname or "", min(_PROBE_TIMEOUT_S, self._ready_timeout_s)
        connection: http.client.HTTPConnection
        if parts.scheme == _UNIX_SCHEME:
            connection = _UnixConnection(unquote(parts.netloc), timeout_s)
        elif self._tls is not None:
            connection = http.client.HTTPSConnection(
                host, parts.port, timeout=timeout_s, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
        try:
            connection.request("GET", parts.path or "/", headers=self._headers)
            connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            # Waiting does not make a certificate trusted.
            message = f"{self._base_url} shows a certificate that is not trusted"
            raise TargetNotReadyError(f"{message}: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            return str(error) or type(error).__name__
        finally:
            connection.close()
        return None


class _UnixConnection(http.client.HTTPConnection):
    """A connection to a server that listens on a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_bundle is None else str(ca_bundle))
    except (OSError, ssl.SSLError) as error:
        raise EnvironmentNotReadyError(f"cannot use the ca bundle {ca_bundle}: {error}") from error
