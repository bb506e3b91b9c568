"""One PostgreSQL connection whose statements are prepared before it is used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg

from target_app.edge.errors import EdgeFailedError

__all__ = ["Link", "PostgresTarget", "Row", "connect"]

# What says that the connection or the server is lost, as opposed to an answer to the statement.
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
# A step of connecting (log in, prepare one statement) on an edge that is slow but alive.
_STEP_LIMIT_S = 1.0
_GOODBYE_LIMIT_S = 0.2


class Row(Protocol):
    """One row of a result."""

    # The type of a column is known to the statement only, hence Any.
    def __getitem__(self, column: str) -> Any:
        """Return the value of a column by its name."""
        ...


class _Statement(Protocol):
    async def fetch(self, *args: object) -> list[Row]: ...

    def get_statusmsg(self) -> str: ...


class _Connection(Protocol):
    async def prepare(self, query: str) -> _Statement: ...

    async def execute(self, query: str) -> str: ...

    def is_closed(self) -> bool: ...

    def terminate(self) -> None: ...

    async def close(self) -> None: ...

    def add_termination_listener(self, callback: Callable[[object], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class PostgresTarget:
    """Where and as whom to connect; ``statements`` are prepared on each connection."""

    host: str
    port: int
    database: str
    user: str
    application: str
    statements: Sequence[str] = ()
    statement_timeout_s: float = 1.0


class Link:
    """A connection with its prepared statements; used by one task at a time."""

    def __init__(self, edge: str, connection: _Connection) -> None:
        self.closed = asyncio.Event()
        self._edge = edge
        self._connection = connection
        self._statements: dict[str, _Statement] = {}

    @property
    def is_closed(self) -> bool:
        """Whether either side has closed the connection, as far as this side knows."""
        return self._connection.is_closed()

    async def prepare(self, query: str) -> _Statement:
        """Prepare a statement once per connection."""
        statement = self._statements.get(query)
        if statement is None:
            statement = await self._connection.prepare(query)
            self._statements[query] = statement
        return statement

    async def fetch(self, query: str, *args: object) -> list[Row]:
        """Run one statement and return its rows; raise :class:`EdgeFailedError` if it is lost."""
        try:
            statement = await self.prepare(query)
            return await statement.fetch(*args)
        except asyncpg.DataError:
            raise
        except _LOST as error:
            raise self._failure(error) from error

    async def fetchrow(self, query: str, *args: object) -> Row | None:
        """Run one statement and return its first row, ``None`` without one."""
        rows = await self.fetch(query, *args)
        return rows[0] if rows else None

    async def execute(self, query: str, *args: object) -> str:
        """Run one statement and return the server's command tag, such as ``UPDATE 3``."""
        await self.fetch(query, *args)
        return (await self.prepare(query)).get_statusmsg()

    async def command(self, query: str) -> None:
        """Run a command without parameters (``BEGIN``, ``COMMIT``) in one round trip."""
        try:
            await self._connection.execute(query)
        except _LOST as error:
            raise self._failure(error) from error

    def terminate(self) -> None:
        """Drop the connection at once; safe to call twice."""
        if not self._connection.is_closed():
            self._connection.terminate()
        self.closed.set()

    async def close(self) -> None:
        """Say goodbye to the server, or drop the connection if it does not react."""
        try:
            async with asyncio.timeout(_GOODBYE_LIMIT_S):
                await self._connection.close()
        except _LOST:
            self._connection.terminate()
        self.closed.set()

    def _failure(self, error: Exception) -> EdgeFailedError:
        return EdgeFailedError(self._edge, f"{type(error).__name__}: {error}")


async def connect(edge: str, target: PostgresTarget) -> Link:
    """Open a connection and prepare all statements; raise :class:`EdgeFailedError`."""
    connection: _Connection | None = None
    try:
        connection = await asyncpg.connect(
            host=target.host,
            port=target.port,
            database=target.database,
            user=target.user,
            timeout=_STEP_LIMIT_S,
            ssl=False,
            # Link keeps the prepared statements itself.
            statement_cache_size=0,
            server_settings={
                "application_name": target.application,
                "statement_timeout": str(int(target.statement_timeout_s * 1000)),
                "jit": "off",
            },
        )
        link = Link(edge, connection)
        connection.add_termination_listener(lambda _: link.closed.set())
        for query in target.statements:
            async with asyncio.timeout(_STEP_LIMIT_S):
                await link.prepare(query)
        # The driver prepares without a Sync, which leaves the server inside a command, with its
        # statement timeout running: the connection's first query, seconds later, would be
        # cancelled. A simple command ends that.
        async with asyncio.timeout(_STEP_LIMIT_S):
            await link.command("SELECT")
    except _LOST as error:
        if connection is not None:
            connection.terminate()
        raise EdgeFailedError(edge, f"connect: {type(error).__name__}: {error}") from error
    except asyncio.CancelledError:
        if connection is not None:
            connection.terminate()
        raise
    return link
