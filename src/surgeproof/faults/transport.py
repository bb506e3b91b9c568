"""Calls to Toxiproxy's HTTP API: each on a connection of its own, bounded, and never proxied."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from surgeproof import __version__
from surgeproof.errors import (
    EnvironmentNotReadyError,
    FaultIndefiniteError,
    FaultRejectedError,
    UsageError,
)

__all__ = ["Answer", "HttpTransport", "Transport"]

# The server answers 503 with an empty body when a handler took 25 s, and lets that handler go on.
_STILL_AT_IT = 503


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said. ``data`` is its JSON, None if the body is none."""

    status: int
    data: object
    text: str
    request_id: str = ""

    @property
    def complaint(self) -> str:
        """The error's words: bodies are JSON under a text/plain header, or text, or empty."""
        if isinstance(self.data, Mapping):
            # `title` is what servers before 2.1 said.
            told = self.data.get("error") or self.data.get("title")
            if told:
                return f"{self.status} {told}"
        return f"{self.status} {self.text.strip()}".strip()

    def refusal(self, action: str) -> FaultRejectedError:
        """Return the error for an answer that says no."""
        request = f" (request {self.request_id})" if self.request_id else ""
        return FaultRejectedError(f"toxiproxy refused to {action}: {self.complaint}{request}")


class Transport(Protocol):
    """Carries calls to one server."""

    @property
    def api_url(self) -> str:
        """The server's base address, without a trailing slash."""
        ...

    def call(
        self, method: str, path: str, body: object = None, *, read_s: float | None = None
    ) -> Answer:
        """Send one request and return its answer, whatever its status but 503.

        ``read_s`` shortens the wait for the answer.

        Raises:
            EnvironmentNotReadyError: no connection was had, so nothing was sent (definite).
            FaultIndefiniteError: the request may have been obeyed, now or later.
        """
        ...


class HttpTransport:
    """The real transport. A connection per call: none is stale, and threads share nothing."""

    def __init__(self, api_url: str, *, connect_s: float = 2.0, read_s: float = 5.0) -> None:
        parts = urlsplit(api_url)
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
            raise UsageError(f"toxiproxy's address is {api_url!r}; accepted: http://HOST:PORT")
        self._host = parts.hostname
        self._port = parts.port or 8474
        self._connect_s = connect_s
        self._read_s = read_s

    @property
    def api_url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def call(
        self, method: str, path: str, body: object = None, *, read_s: float | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._connect_s)
        try:
            try:
                connection.connect()
            except OSError as error:
                raise EnvironmentNotReadyError(
                    f"toxiproxy does not answer at {self.api_url}: {error.strerror or error}"
                ) from error
            connection.sock.settimeout(self._read_s if read_s is None else read_s)
            try:
                return self._exchange(connection, method, path, body)
            except (OSError, http.client.HTTPException) as error:
                raise FaultIndefiniteError(
                    f"toxiproxy at {self.api_url} took {method} {path} and gave no answer "
                    f"({type(error).__name__}: {error}); whether it was obeyed is unknown"
                ) from error
        finally:
            connection.close()

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: object
    ) -> Answer:
        payload = None if body is None else json.dumps(body).encode()
        # The server answers 403 to every agent that begins with Mozilla/.
        headers = {"User-Agent": f"surgeproof/{__version__}", "Content-Type": "application/json"}
        connection.request(method, path, payload, headers)
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        if response.status == _STILL_AT_IT:
            raise FaultIndefiniteError(
                f"toxiproxy at {self.api_url} answered 503 to {method} {path}: "
                "it goes on with it, and whether it will be obeyed is unknown"
            )
        try:
            data: object = json.loads(text)
        except ValueError:
            data = None
        return Answer(
            response.status, data, text, response.getheader("X-Toxiproxy-Request-Id") or ""
        )
