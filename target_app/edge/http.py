"""Calls to another service of the app over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import msgspec

from target_app.edge.client import EdgeClient
from target_app.edge.deadline import DEADLINE_HEADER, Deadline
from target_app.edge.errors import EdgeFailedError, EdgeShedError
from target_app.edge.upstream import UpstreamCut

__all__ = ["HttpAnswer", "HttpEdge"]

T = TypeVar("T")

_IDEMPOTENT_METHODS = frozenset({"GET", "PUT", "DELETE", "HEAD"})
_ENCODER = msgspec.json.Encoder()
# A little longer than any pause between requests of a quiet minute; the services keep their side
# open longer still, so that the client is the one that closes.
_KEEP_ALIVE_S = 30.0


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete answer with a status below 500 (or one that the caller must handle itself)."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self, type_: type[T]) -> T:
        """Decode the body; raise ``msgspec.ValidationError`` if it is not of ``type_``."""
        return msgspec.json.decode(self.body, type=type_)

    @property
    def degraded(self) -> tuple[str, ...]:
        """The items of the ``Degraded`` header, empty for a full answer."""
        value = self.headers.get("Degraded", "")
        return tuple(item.strip() for item in value.split(",") if item.strip())


class HttpEdge:
    """Requests over one edge; call :meth:`start` inside the event loop and :meth:`close` after."""

    def __init__(self, client: EdgeClient, host: str, port: int) -> None:
        self.client = client
        self._base_url = f"http://{host}:{port}"
        self._session: aiohttp.ClientSession | None = None
        self._cut = UpstreamCut(client.clock)

    async def start(self) -> None:
        """Open the connection pool; connections are made when they are needed."""
        # The bulkhead of the EdgeClient is the limit: a second queue here would hide the wait.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
        idempotent: bool | None = None,
    ) -> HttpAnswer:
        """Send one request and return the answer if its status is below 500.

        ``path`` is the raw path with its query, already percent-encoded; what is sent is ``json``
        or, as it is, ``body``. ``idempotent`` defaults to what the method promises. Raises the
        errors of :mod:`target_app.edge.errors`.
        """
        session = self._session
        if session is None:
            raise RuntimeError(f"edge {self.client.policy.name!r} was not started")
        sent = dict(headers) if headers is not None else {}
        if self._cut.refuses(sent):
            self.client.note_dropped()
            raise EdgeShedError(self.client.policy.name, f"{method}: dropped here", retry_after_s=1)
        if json is not None:
            body = _ENCODER.encode(json)
            sent["Content-Type"] = "application/json"

        async def operation() -> HttpAnswer:
            left = deadline or Deadline.after(self.client.policy.timeout_s, self.client.clock)
            sent[DEADLINE_HEADER] = left.to_header(self.client.clock)
            return await self._send(session, method, path, sent, body)

        if idempotent is None:
            idempotent = method in _IDEMPOTENT_METHODS
        return await self.client.call(operation, deadline=deadline, idempotent=idempotent)

    async def _send(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> HttpAnswer:
        try:
            async with session.request(
                method, self._base_url + path, data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = HttpAnswer(response.status, response.headers, await response.read())
        except asyncio.CancelledError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            detail = f"{method} {path.partition('?')[0]}: {type(error).__name__}: {error}"
            raise EdgeFailedError(self.client.policy.name, detail) from error
        self._raise_for(answer, f"{method} {path.partition('?')[0]}")
        return answer

    def _raise_for(self, answer: HttpAnswer, what: str) -> None:
        self._cut.note(answer.headers)
        name = self.client.policy.name
        if answer.status in (429, 503) and "Retry-After" in answer.headers:
            seconds = answer.headers["Retry-After"]
            retry_after_s = int(seconds) if seconds.isdigit() else 1
            raise EdgeShedError(name, f"{what}: {answer.status}", retry_after_s=retry_after_s)
        if answer.status >= 500:
            raise EdgeFailedError(name, f"{what}: {answer.status}", status=answer.status)
