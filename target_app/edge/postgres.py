"""A PostgreSQL client for an edge that may break at any time.

Why not the driver's own pool: it prepares statements on first use, resets a connection with a
round trip after each use and kills it when a query is cancelled. Each of these costs round trips
just when the edge is slow. Here a background task per connection keeps it open with every
statement prepared, so a read or a write is exactly one round trip; a caller whose time is up
leaves, and the connection finishes its query before it is used again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from target_app.edge.client import EdgeClient
from target_app.edge.deadline import Deadline
from target_app.edge.errors import EdgeFailedError
from target_app.edge.postgres_link import Link, PostgresTarget, Row
from target_app.edge.postgres_pool import LinkPool

__all__ = ["PostgresEdge", "PostgresSession", "PostgresTarget", "Row"]

T = TypeVar("T")

# A service that starts while its database is down must come up all the same.
_FIRST_CONNECTION_S = 5.0


class PostgresSession(Protocol):
    """What a transaction may do on its connection."""

    async def fetch(self, query: str, *args: object) -> list[Row]: ...

    async def fetchrow(self, query: str, *args: object) -> Row | None: ...

    async def execute(self, query: str, *args: object) -> str: ...


class PostgresEdge:
    """Statements over one edge; call :meth:`start` inside the event loop and :meth:`close` after.

    A violated constraint or a raised exception of the database passes through as the driver's
    ``asyncpg.PostgresError``: the database answered.
    """

    def __init__(self, client: EdgeClient, target: PostgresTarget, *, size: int) -> None:
        self.client = client
        self._pool = LinkPool(client.policy.name, target, size)
        # How long an abandoned query may keep its connection before both are given up.
        self._patience_s = max(1.0, 2 * client.policy.timeout_s)
        # Filled by the defect connection_leak only.
        self._leaked: set[Link] = set()

    async def start(self) -> None:
        """Begin to connect; does not wait, so that a service starts while the edge is down."""
        self._pool.start()

    async def wait_connected(self) -> None:
        """Wait until a first connection is open, at most five seconds, and then go on anyway."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_CONNECTION_S):
                await self._pool.connected.wait()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    async def fetch(
        self,
        query: str,
        *args: object,
        deadline: Deadline | None = None,
        idempotent: bool = True,
    ) -> list[Row]:
        """Run one statement and return its rows."""
        return await self.client.call(
            lambda: self._use(lambda link: link.fetch(query, *args)),
            deadline=deadline,
            idempotent=idempotent,
        )

    async def fetchrow(
        self,
        query: str,
        *args: object,
        deadline: Deadline | None = None,
        idempotent: bool = True,
    ) -> Row | None:
        """Run one statement and return its first row, ``None`` without one."""
        rows = await self.fetch(query, *args, deadline=deadline, idempotent=idempotent)
        return rows[0] if rows else None

    async def execute(
        self,
        query: str,
        *args: object,
        deadline: Deadline | None = None,
        idempotent: bool = False,
    ) -> str:
        """Run one statement and return its command tag."""
        return await self.client.call(
            lambda: self._use(lambda link: link.execute(query, *args)),
            deadline=deadline,
            idempotent=idempotent,
        )

    async def transaction(
        self,
        operation: Callable[[PostgresSession], Awaitable[T]],
        *,
        deadline: Deadline | None = None,
    ) -> T:
        """Run ``operation`` between BEGIN and COMMIT on one connection; roll back if it raises.

        The edge's timeout covers the whole transaction, which costs two round trips more than
        its statements. A commit that timed out may have happened.
        """
        return await self.client.call(lambda: self._transact(operation), deadline=deadline)

    async def _use(self, work: Callable[[Link], Awaitable[T]]) -> T:
        link = await self._acquire()
        task = asyncio.create_task(self._finish(link, work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_swallow)
            if self.client.has_defect("connection_leak"):
                self._leaked.add(link)
            raise

    async def _finish(self, link: Link, work: Callable[[Link], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._patience_s):
                return await work(link)
        except (TimeoutError, EdgeFailedError) as error:
            link.terminate()
            if isinstance(error, EdgeFailedError):
                raise
            raise EdgeFailedError(self.client.policy.name, "the query never ended") from error
        finally:
            if link not in self._leaked:
                self._pool.release(link)

    async def _transact(self, operation: Callable[[PostgresSession], Awaitable[T]]) -> T:
        link = await self._acquire()
        is_clean = False
        try:
            await link.command("BEGIN")
            try:
                result = await operation(link)
            except Exception:
                await link.command("ROLLBACK")
                is_clean = True
                raise
            await link.command("COMMIT")
            is_clean = True
            return result
        finally:
            if not is_clean:
                link.terminate()
            self._pool.release(link)

    async def _acquire(self) -> Link:
        clock = self.client.clock
        started_s = clock.monotonic()
        try:
            return await self._pool.acquire()
        finally:
            self.client.meter.pool_wait.observe(clock.monotonic() - started_s)


def _swallow(task: asyncio.Task[T]) -> None:
    """Fetch the exception of a task that nobody waits for, so that it is not reported as lost."""
    if not task.cancelled():
        task.exception()
