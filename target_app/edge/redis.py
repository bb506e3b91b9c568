"""Commands to a Redis server over an edge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from target_app.edge.client import EdgeClient
from target_app.edge.deadline import Deadline
from target_app.edge.errors import EdgeFailedError

__all__ = ["RedisEdge"]

T = TypeVar("T")


class RedisEdge:
    """Commands over one edge; connections are made when they are needed and replaced when lost."""

    def __init__(self, client: EdgeClient, host: str, port: int) -> None:
        self.client = client
        self._redis: Redis = Redis(
            host=host,
            port=port,
            protocol=2,
            max_connections=client.policy.max_in_flight,
            # The EdgeClient decides on time and retries; these only bound what it abandoned.
            socket_timeout=max(1.0, 2 * client.policy.timeout_s),
            socket_connect_timeout=max(1.0, 2 * client.policy.timeout_s),
            retry=Retry(NoBackoff(), 0),
            lib_name=None,
            lib_version=None,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def run(
        self,
        commands: Callable[[Redis], Awaitable[T]],
        *,
        deadline: Deadline | None = None,
        idempotent: bool = True,
    ) -> T:
        """Await ``commands(redis)``, one command or one pipeline, under the edge's policy.

        ``idempotent`` is whether the commands may run twice; true of reads, SET, ZADD and the
        like, false of INCR.
        """

        async def operation() -> T:
            try:
                return await commands(self._redis)
            except (
                exceptions.ConnectionError,
                exceptions.TimeoutError,
                exceptions.ReadOnlyError,
                OSError,
            ) as error:
                detail = f"{type(error).__name__}: {error}"
                raise EdgeFailedError(self.client.policy.name, detail) from error

        return await self.client.call(operation, deadline=deadline, idempotent=idempotent)
